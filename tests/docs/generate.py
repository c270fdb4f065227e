"""Writes the parts of pages that come from the code: `make reference`.

Such a part lies between two comments, `<!-- generated: NAME -->` and `<!-- end: NAME -->`; the rest of the page is
written by hand.
"""

import re
from collections.abc import Callable

from tests.docs import command_line, configuration, limits, metrics, schema, worker
from tests.support.needs import PROJECT

DOCS = PROJECT / "docs"
PARTS: dict[str, Callable[[], str]] = {
    "commands": command_line.commands,
    "settings": configuration.settings,
    "limits": limits.tables,
    "metrics": metrics.server_rows,
    "worker-metrics": metrics.worker_rows,
    "queries": lambda: schema.root_fields("Query"),
    "mutations": lambda: schema.root_fields("Mutation"),
    "subscriptions": lambda: schema.root_fields("Subscription"),
    "worker-variables": worker.variables,
    "worker-exit-codes": worker.exit_codes,
}
PART = re.compile(r"(?<=<!-- generated: )([a-z-]+)( -->\n).*?(?=\n<!-- end: \1 -->)", re.DOTALL)


def regenerate(text: str) -> str:
    """The text of a page with its generated parts as the code has them now. Raises KeyError for an unknown part."""
    return PART.sub(lambda part: f"{part[1]}{part[2]}\n{PARTS[part[1]]()}\n", text)


def main() -> None:
    """Write all pages that have generated parts."""
    for page in sorted(DOCS.rglob("*.md")):
        before = page.read_text(encoding="utf-8")
        after = regenerate(before)
        if after != before:
            page.write_text(after, encoding="utf-8")
            print(f"Wrote {page.relative_to(PROJECT)}")


if __name__ == "__main__":
    main()
