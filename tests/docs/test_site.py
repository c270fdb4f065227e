"""The site: a link that leads nowhere fails the build, and no page loads anything from another host."""

import logging
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from mkdocs.commands.build import build
from mkdocs.config import load_config
from mkdocs.exceptions import Abort, PluginError

from tests.docs.mkdocs_hooks import on_page_markdown, on_post_page
from tests.support.needs import PROJECT


@pytest.fixture(autouse=True)
def _quiet_mkdocs(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """mkdocs counts warnings by a handler that it leaves on its logger."""
    monkeypatch.setenv("NO_MKDOCS_2_WARNING", "true")
    logger = logging.getLogger("mkdocs")
    before = logger.handlers[:]
    yield
    logger.handlers[:] = before


def built(tmp_path: Path, text: str) -> str:
    """The page that the project's settings make of a text, below the heading "Here"."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/index.md").write_text(f"# Here\n\n{text}\n", encoding="utf-8")
    folders = {"docs_dir": str(tmp_path / "docs"), "site_dir": str(tmp_path / "site")}
    build(load_config(str(PROJECT / "mkdocs.yml"), strict=True, hooks=[], **folders))
    return (tmp_path / "site/index.html").read_text(encoding="utf-8")


def test_a_link_to_a_heading_is_built(tmp_path: Path) -> None:
    assert 'href="#here"' in built(tmp_path, "See [above](#here).")


@pytest.mark.parametrize("link", ["[there](#there)", "[gone](gone.md)", "[abroad](/abroad.md)"])
def test_a_link_that_leads_nowhere_fails_the_build(tmp_path: Path, link: str) -> None:
    with pytest.raises(Abort):
        built(tmp_path, link)


def test_the_target_builds_strictly_and_does_not_silence_the_warnings_that_strictness_counts() -> None:
    (command,) = [line for line in (PROJECT / "Makefile").read_text().splitlines() if "mkdocs build" in line]

    assert command.endswith("mkdocs build --strict")
    assert "\nmake docs\n" in (PROJECT / ".ci/run").read_text()


def page(path: str) -> Any:
    """A page of the site, as far as the hooks ask for it."""
    return SimpleNamespace(file=SimpleNamespace(src_uri=path))


@pytest.mark.parametrize(
    ("path", "link", "on_site"),
    [
        ("reference/schema.md", "../../schema.graphql", "../schema.graphql"),
        ("index.md", "../CHANGELOG.md", "CHANGELOG.md"),
        ("guides/files.md", "first-queries.md#find-ids", "first-queries.md#find-ids"),
        ("CHANGELOG.md", "docs/guides/files.md#upload", "guides/files.md#upload"),
        ("guides/files.md", "https://example.org/docs/x.md", "https://example.org/docs/x.md"),
    ],
)
def test_a_link_of_the_repository_leads_to_its_place_on_the_site(path: str, link: str, on_site: str) -> None:
    nothing = cast(Any, None)

    assert on_page_markdown(f"[a]({link})", page(path), nothing, nothing) == f"[a]({on_site})"


@pytest.mark.parametrize(
    "loaded",
    [
        '<script src="https://unpkg.com/mermaid"></script>',
        '<img alt="" src="//img.example/a.png">',
        '<link rel="stylesheet" href="https://fonts.example/css">',
    ],
)
def test_a_page_that_loads_something_from_another_host_is_refused(loaded: str) -> None:
    with pytest.raises(PluginError, match="another host"):
        on_post_page(f"<p>{loaded}</p>", page("index.md"), cast(Any, None))


def test_a_page_may_lead_to_another_host_and_load_what_is_beside_it() -> None:
    output = (
        '<a href="https://example.org">there</a><img src="assets/a.svg"><link rel="stylesheet" href="assets/a.css">'
    )

    assert on_post_page(output, page("index.md"), cast(Any, None)) == output
