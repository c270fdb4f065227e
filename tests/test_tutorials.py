"""The tutorials, followed from beginning to end on one demo; and the reader who follows them, who notices mistakes."""

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.needs import PROJECT, need, need_package
from tests.support.running import COMMAND, Running, running
from tests.support.tutorial_reader import matches, reader

PAGES = ["statistics", "digital-twins", "galaxy"]
RIGHT = """
```sh
make demo
```

```text
  GraphiQL     http://127.0.0.1:8000/#token=pg_…
  GraphQL      http://127.0.0.1:8000/graphql
  Admin token  pg_… (good until the server stops)
```

```sh
export PROVENANCE_TOKEN=pg_…
ID=$(date +organisation_%s)
```

```sh
echo "$ID" >&2
```

```text
organisation_…
```

```graphql
{ viewer { role } }
```

GraphiQL answers:

```json
{
  "data": {
    "viewer": {
      "role": "ADMIN"
    }
  }
}
```
"""


class Demos:
    """One demo that pages share, and the next one after a page that stops it."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._latest: Running | None = None

    def serving(self) -> Running:
        """A demo that runs."""
        if self._latest is None or self._latest.process.poll() is not None:
            self._latest = self._stack.enter_context(running(*COMMAND, "demo"))
        return self._latest


@pytest.fixture(scope="module")
def demos() -> Iterator[Demos]:
    for program in ("bash", "curl", "jq"):
        need(program)
    with ExitStack() as stack:
        yield Demos(stack)


@pytest.fixture
def demo(demos: Demos) -> Running:
    return demos.serving()


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder with the environment that `make demo` makes."""
    (tmp_path / ".venv").symlink_to(sys.prefix)
    return tmp_path


async def follow(page: str, demo: Running, clone: Path) -> None:
    async with reader(demo, clone, os.environ["PATH"]) as somebody:
        await somebody.follow(page)


def test_what_varies_is_one_word_or_more_of_a_line() -> None:
    assert matches('{"id": "user_…"}', '{"id": "user_6b01"}')
    assert matches("… INFO ready\n", "2026-11-30 10:00:00 INFO ready\n\n")
    assert not matches('{"id": "user_…"}', '{"id": "user_"}')
    assert not matches('{"id": "…"}', '{"id": "user_1", "name": "x"}')
    assert not matches("…", "one\ntwo")
    assert not matches("1.5", "125")


async def test_a_page_that_says_what_happens_is_followed_to_its_end(demo: Running, clone: Path) -> None:
    await follow(RIGHT, demo, clone)


@pytest.mark.parametrize(
    ("right", "wrong", "noticed"),
    [
        ("GraphQL      http", "GraphQL  http", "line 6: The page shows"),
        ("organisation_…\n", "organisation_1\n", "line 21: The page shows\norganisation_1"),
        ("```text\norganisation_…\n```\n", "", "line 22: The page does not show what the terminal printed before:"),
        ('"ADMIN"', '"WORKER"', "line 31: The page shows"),
        ("role }", "roles }", "line 31: The page shows"),
        ('echo "$ID"', 'ls "$ID"', "line 17: A command failed"),
        ('echo "$ID"', "false | cat", "line 17: A command failed"),
        ('echo "$ID"', 'echo "$IT"', "line 17: A command failed"),
        ('echo "$ID"', "echo organisation_…", "line 17: The reader cannot know"),
        ("GraphiQL answers:", "This is printed:", "line 31: The page shows"),
        ('```graphql\n{ viewer { role } }\n```\n', "", "line 28: Nothing was pasted into GraphiQL"),
        ("```graphql\n", "``` graphql\n", "A fence is not one of a block"),
        ("GraphiQL answers:\n", "```sh\ntrue\n```\n", "line 33: The page shows"),
    ],
)  # fmt: skip
async def test_a_mistake_on_a_page_is_noticed(right: str, wrong: str, noticed: str, demo: Running, clone: Path) -> None:
    assert RIGHT.count(right) == 1

    with pytest.raises(AssertionError) as failure:
        await follow(RIGHT.replace(right, wrong), demo, clone)

    assert str(failure.value).startswith(noticed)


@pytest.mark.parametrize(
    ("end", "noticed"),
    [
        ("```sh\necho more\n```\n", "At the end: The page does not show what the terminal printed"),
        ("```graphql\n{ viewer { role } }\n```\n", "At the end: The page does not show what GraphiQL answered"),
    ],
)
async def test_what_a_page_does_not_show_at_its_end_is_noticed(
    end: str, noticed: str, demo: Running, clone: Path
) -> None:
    with pytest.raises(AssertionError) as failure:
        await follow(RIGHT + end, demo, clone)

    assert str(failure.value).startswith(noticed)


@pytest.mark.parametrize("page", PAGES)
async def test_a_tutorial_works_from_beginning_to_end(page: str, demo: Running, clone: Path) -> None:
    for package in ("duckdb", "pyarrow"):
        need_package(package)

    await follow((PROJECT / f"docs/tutorials/{page}.md").read_text(encoding="utf-8"), demo, clone)


def test_every_tutorial_is_followed_and_can_be_chosen() -> None:
    index = (PROJECT / "docs/tutorials/index.md").read_text(encoding="utf-8")

    assert sorted(one.stem for one in (PROJECT / "docs/tutorials").glob("*.md")) == sorted([*PAGES, "index"])
    assert [page for page in PAGES if f"({page}.md)" not in index] == []
