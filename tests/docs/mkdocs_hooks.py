"""Hooks of the site that `make docs` builds: the order of pages, files beside docs/, and no asset of another host."""

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from mkdocs.utils import nest_paths

ROOT = Path(__file__).resolve().parents[2]
BESIDE = (
    "CHANGELOG.md",
    "CITATION.cff",
    "LICENSE",
    "SECURITY.md",
    "deploy/alerts.yaml",
    "deploy/grafana-dashboard.json",
    "examples/spark_jobs.py",
    "examples/worker.sh",
    "schema.graphql",
)
"""Files outside of docs/ that pages link to, and that the site therefore holds."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files beside docs/, and put the pages into the navigation in the order of docs/index.md."""
    for path in BESIDE:
        files.append(File.generated(config, path, abs_src_path=str(ROOT / path)))
    pages = [file.src_uri for file in files.documentation_pages()]
    linked = ["index.md", *_linked_pages((ROOT / "docs/index.md").read_text(encoding="utf-8"))]
    pages.sort(key=lambda page: linked.index(page) if page in linked else len(linked))
    config.nav = nest_paths(pages)  # type: ignore[no-untyped-call]
    return files


def _linked_pages(markdown: str) -> list[str]:
    """The pages that the index leads to; those beside docs/ by the place that they have on the site."""
    return [target.removeprefix("../") for target in re.findall(r"\]\(([^)#:]+\.md)", markdown)]


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links that hold in the repository into links that hold on the site."""
    beside = page.file.src_uri in BESIDE
    folder = posixpath.dirname(page.file.src_uri if beside else f"docs/{page.file.src_uri}")

    def on_site(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(folder, link[1]))
        if target not in BESIDE and not beside:
            return link[0]
        uri = target.removeprefix("docs/")
        return f"]({posixpath.relpath(uri, posixpath.dirname(page.file.src_uri) or '.')}{link[2]})"

    return re.sub(r"\]\((?!https?:|mailto:|#)([^)#\s]+)((?:#[^)]*)?)\)", on_site, markdown)


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Refuse a page that would load something from another host."""
    loaded = re.findall(r"<(?:script|img|iframe|source)\b[^>]*\bsrc(?:set)?=\"?((?:https?:)?//[^\s\">]+)", output)
    styles = re.findall(r"<link\b[^>]*\brel=\"?(?:stylesheet|preconnect|preload|icon)[^>]*", output)
    loaded += [link for link in styles if re.search(r"href=\"?(?:https?:)?//", link)]
    if loaded:
        raise PluginError(f"{page.file.src_uri} loads from another host: {', '.join(loaded)}")
    return output
