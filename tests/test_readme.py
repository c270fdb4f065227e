"""The documents say what is so: queries, settings, commands, limits and links are held to the code."""

import re
import subprocess
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import typer.main
from graphql import FieldNode, OperationDefinitionNode, SelectionSetNode, parse, print_ast
from typer.core import TyperGroup

from documents.access.idempotency_key import TTL_SECONDS
from documents.outage import Outage
from graph.clients.worker.environment import ENVIRONMENT_VARIABLES
from graph.clients.worker.exit_codes import EXIT_CODES, TRY_AGAIN, is_retryable
from graph.commands.main import app
from graph.core.user_error_types import ErrorCode
from graph.errors import (
    BAD_REQUEST,
    BAD_USER_INPUT,
    INTERNAL,
    LIMIT_EXCEEDED,
    OVERLOADED,
    PARSE_FAILED,
    PERSISTED_QUERY_NOT_FOUND,
    PERSISTED_QUERY_NOT_SUPPORTED,
    READ_ONLY,
    UNAUTHENTICATED,
    VALIDATION_FAILED,
)
from graph.schema import schema
from graph.settings import OF_CLIENTS, Settings, variable_of
from resolvers.reads.cursor import BadCursor
from tests.bench.__main__ import app as bench
from tests.bench.soak import app as soak
from tests.docs import command_line
from tests.docs.generate import DOCS, PART, PARTS, regenerate
from tests.docs.limits import read_limits
from tests.mutants.__main__ import app as mutants
from tests.support.needs import PROJECT, need

PAGES = sorted(DOCS.rglob("*.md"))
DOCUMENTS = [*sorted(PROJECT.glob("*.md")), *PAGES]
MANUAL = [PROJECT / "README.md", *PAGES]
"""The documents without the log of changes and the doors that lead to others."""
TABS = PROJECT / "graph/graphiql/queries"
CHAINS = [tab.name for tab in sorted(TABS.glob("[1-3]_*.graphql"))]
TO_BE_WRITTEN = {
    "adding-an-entity.md": {
        "documents/catalogue/remark.py",
        "resolvers/catalogue/remark.py",
        "graph/catalogue/remark.py",
        "tests/graph/catalogue/test_remark.py",
    },
    "compatibility.md": {"documents/migrations/step_NNNN_what_it_does.py"},
}
"""Files that a page asks its reader to make."""


def manual() -> str:
    """The text of the README and of the documents that it leads to."""
    return "\n".join(one.read_text(encoding="utf-8") for one in MANUAL)


def page(path: str) -> str:
    """The text of a page of docs/."""
    return (DOCS / path).read_text(encoding="utf-8")


def rows(path: str) -> list[list[str]]:
    """The cells of the tables of a page, without headings."""
    lines = re.findall(r"^\|(.*)\|$", page(path), re.MULTILINE)
    cells = [[cell.strip() for cell in line.split(" | ")] for line in lines]
    heads = [number - 1 for number, line in enumerate(lines) if set(line) <= set("-| ")]
    return [row for number, row in enumerate(cells) if number not in heads and number - 1 not in heads]


def blocks(language: str, text: str | None = None) -> list[str]:
    """The fenced blocks in a language, those without one when it is empty; of the whole manual unless of a text."""
    pairs = re.findall(r"^```(\w*)\n(.*?)^```$", manual() if text is None else text, re.MULTILINE | re.DOTALL)
    return [block for named, block in pairs if named == language]


def anchors(document: Path) -> set[str]:
    """The anchors of a document, by GitHub's rule for headings."""
    headings = re.findall(r"^#+ (.*)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(document: Path) -> list[str]:
    """The links of a document within the repository."""
    prose = re.sub(r"`[^`]*`", "", document.read_text(encoding="utf-8"))
    return re.findall(r"\]\((?!https?:)([^)]+)\)", prose)


def of_tab(name: str) -> str:
    """The query of a tab of GraphiQL, without the comment at its beginning."""
    lines = (TABS / name).read_text(encoding="utf-8").splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith("#"))


@pytest.mark.parametrize("tab", CHAINS)
def test_a_chain_of_the_documents_is_that_of_the_tab(tab: str) -> None:
    assert of_tab(tab) in blocks("graphql", page("guides/first-queries.md"))


@pytest.mark.parametrize(("place", "tab"), list(enumerate(CHAINS)))
def test_a_query_of_the_readme_is_part_of_the_tab(place: int, tab: str) -> None:
    short = blocks("graphql", (PROJECT / "README.md").read_text(encoding="utf-8"))

    assert len(short) == len(CHAINS)
    assert len(_paths(short[place])) > 5
    assert _paths(short[place]) - _paths(of_tab(tab)) == set()


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(DOCS)))
def test_the_generated_parts_of_a_page_are_what_the_code_says(path: Path) -> None:
    text = path.read_text(encoding="utf-8")

    assert text == regenerate(text), "run `make reference`"


def test_every_generated_part_stands_on_one_page() -> None:
    assert sorted(name for name, _ in PART.findall(manual())) == sorted(PARTS)


def test_the_documents_name_every_mutation_that_is_served() -> None:
    text = manual()
    mutation = schema._schema.mutation_type
    assert mutation

    assert [name for name in mutation.fields if not re.search(rf"\b{name}\b", text)] == []


def test_the_table_of_settings_names_every_variable_once_and_nothing_else() -> None:
    named = [row[0].strip("`") for row in rows("reference/configuration.md")]

    assert sorted(named) == sorted(variable_of(field) for field in Settings.model_fields)


def test_the_documents_name_no_variable_that_is_not_read() -> None:
    known = {variable_of(field) for field in Settings.model_fields} | {*OF_CLIENTS, *ENVIRONMENT_VARIABLES}
    named = chain.from_iterable(re.findall(r"PROVENANCE_[A-Z_]*[A-Z]", one.read_text("utf-8")) for one in DOCUMENTS)

    assert set(named) - known == set()


def test_the_defaults_of_the_table_are_those_of_the_settings() -> None:
    said = {row[0].strip("`"): row[1] for row in rows("reference/configuration.md")}

    for name in (
        "env",
        "port",
        "database_name",
        "log_level",
        "objects",
        "anonymous_objects",
        "answer_bytes",
        "anonymous_answer_bytes",
        "executor",
    ):
        assert said[variable_of(name)] == f"`{Settings.model_fields[name].default}`"


def test_the_table_of_limits_gives_the_values_of_the_code() -> None:
    limits = [limit for table in read_limits().values() for limit in table.items()]

    assert [(row[0], int(row[1].replace(",", ""))) for row in rows("reference/limits.md")] == limits


def test_every_code_of_an_error_is_in_the_tables() -> None:
    named = set(re.findall(r"`([A-Z_]+)`", page("reference/errors.md")))
    request = {PARSE_FAILED, VALIDATION_FAILED, BAD_USER_INPUT, BAD_REQUEST, LIMIT_EXCEEDED, UNAUTHENTICATED}

    hashed = {PERSISTED_QUERY_NOT_FOUND, PERSISTED_QUERY_NOT_SUPPORTED}
    served = {OVERLOADED, READ_ONLY, INTERNAL} | {outage.value for outage in Outage}
    assert named == {code.value for code in ErrorCode} | request | hashed | served | {BadCursor.code}


def test_the_table_of_a_commands_environment_is_what_a_worker_sets() -> None:
    named = dict(re.findall(r"^\| `(PROVENANCE_[A-Z_]+)` \| (.*) \|$", page("reference/worker.md"), re.MULTILINE))

    assert named == ENVIRONMENT_VARIABLES


def test_the_table_of_exit_codes_is_what_a_worker_makes_of_them() -> None:
    codes = {row[0]: row[1] for row in rows("reference/worker.md") if re.match(r"\d|others$", row[0])}

    assert codes == EXIT_CODES
    for code in range(256):
        listed = next((said for codes, said in EXIT_CODES.items() if str(code) in re.findall(r"\d+", codes)), "")
        assert is_retryable(code, (TRY_AGAIN,)) == ("retryable" in listed or listed.startswith("the same")), code


def test_the_functions_that_are_shown_of_the_script_stand_in_it() -> None:
    (shown,) = blocks("bash", page("guides/run-a-worker.md"))
    script = (PROJECT / "examples/worker.sh").read_text(encoding="utf-8")

    assert [part for part in re.split(r"\n(?=\w+\(\) \{)", shown) if part.strip() not in script] == []


def test_keys_are_kept_as_long_as_the_documents_say() -> None:
    assert f"kept for {TTL_SECONDS // 86_400} days" in " ".join(manual().split())


def test_the_commands_that_are_named_exist_with_their_options() -> None:
    named = [
        words.split()
        for one in DOCUMENTS
        for words in re.findall(r"provenance-graph((?: [a-z-]+)+)", _code(one), re.MULTILINE)
    ]
    assert ["serve", "--workers"] in named

    for words in named:
        _follow(words)


def test_every_make_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    named = {name for one in DOCUMENTS for name in re.findall(r"(?:^|`)make ([a-z]+)", one.read_text("utf-8"), re.M)}

    assert named >= {"demo", "test", "check", "schema"}
    assert named <= targets


def test_the_options_that_are_given_to_make_exist() -> None:
    apps = {"bench": bench, "mutants": mutants, "soak": soak}
    named = re.findall(rf'make ({"|".join(apps)}) ARGS="([^"]*)"', manual())
    assert {target for target, _ in named} >= {"bench", "mutants"}

    for target, words in named:
        parameters = typer.main.get_command(apps[target]).params
        known = {option for parameter in parameters for option in parameter.opts}
        assert {word for word in words.split() if word.startswith("--")} <= known, words


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: str(document.relative_to(PROJECT)))
def test_links_within_the_repository_lead_somewhere(document: Path) -> None:
    for target in links(document):
        path, _, anchor = target.partition("#")
        led = document.parent / path if path else document
        assert led.is_file(), target
        assert not anchor or anchor in anchors(led), target


def test_the_readme_leads_to_the_index_and_that_to_every_page() -> None:
    index = DOCS / "index.md"
    led = {(DOCS / target.partition("#")[0]).resolve() for target in links(index)}

    assert "docs/index.md" in links(PROJECT / "README.md")
    assert [str(one.relative_to(DOCS)) for one in PAGES if one != index and one.resolve() not in led] == []


def test_the_readme_is_short() -> None:
    assert len((PROJECT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


def test_the_page_of_commands_says_of_each_what_it_needs() -> None:
    named = [row[0].strip("`") for row in rows("reference/command-line.md")]

    assert sorted(named) == sorted({" ".join(words) for words in command_line.paths()} | {"work --ingest"})


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: str(document.relative_to(PROJECT)))
def test_files_that_are_named_are_there(document: Path) -> None:
    named = re.findall(r"`((?:graph|resolvers|documents|tests|examples|docs)/[\w./*-]+)`", document.read_text("utf-8"))

    missing = {name for name in named if not any(PROJECT.glob(name.rstrip("/")))}

    assert missing - TO_BE_WRITTEN.get(document.name, set()) == set()


def test_the_pages_name_modules_by_their_whole_paths() -> None:
    tracked = [need("git"), "ls-files", "graph/**.py", "resolvers/**.py", "documents/**.py", "tests/**.py"]
    paths = subprocess.run(tracked, cwd=PROJECT, capture_output=True, text=True, check=True).stdout.split()
    modules = {Path(path).name for path in paths}
    assert {"policies.py", "admission.py"} <= modules

    assert [name for name in re.findall(r"`(\w+\.py)`", manual()) if name in modules] == []


@pytest.mark.parametrize(
    "parts",
    [
        *[("pypi", ".org"), ("pythonhosted", ".org"), ("npmjs", ".org"), ("npmjs", ".com"), ("bash_", "jobs")],
        *[("/wo", "rk/(main|shared)"), ("/ro", "ot/"), ("/ho", "me/[a-z]"), ("/Us", "ers/[a-z]")],
    ],
    ids="".join,
)
def test_no_tracked_file_names_a_registry_or_a_machine(parts: tuple[str, str]) -> None:
    found = subprocess.run(
        [need("git"), "grep", "-nIE", "".join(parts).replace(".", r"\."), "--", ".", ":!graph/graphiql/assets"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (found.returncode, found.stdout) == (1, "")


def _paths(query: str) -> set[str]:
    """The fields that a query selects, each by its path and with its arguments."""
    (operation,) = parse(query).definitions
    assert isinstance(operation, OperationDefinitionNode)
    return set(_below(operation.selection_set, ""))


def _below(selections: SelectionSetNode, path: str) -> Iterator[str]:
    for one in selections.selections:
        assert isinstance(one, FieldNode)
        here = f"{path}/{one.name.value}({', '.join(sorted(map(print_ast, one.arguments or ())))})"
        yield here
        if one.selection_set:
            yield from _below(one.selection_set, here)


def _code(document: Path) -> str:
    """The code in a document, in blocks or within sentences, one piece a line."""
    text = document.read_text(encoding="utf-8")
    fenced = re.findall(r"^```\w*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    inline = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL))
    return "\n".join([*fenced, *inline])


def _follow(words: list[str]) -> None:
    """Walk from command to command, then look for the options."""
    command: Any = typer.main.get_command(app)
    for word in words:
        if word.startswith("--"):
            assert any(word in parameter.opts for parameter in command.params), words
        elif isinstance(command, TyperGroup):
            assert word in command.commands, words
            command = command.commands[word]
