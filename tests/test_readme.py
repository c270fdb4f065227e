"""The documents say what is so: queries, settings, commands, limits and links are held to the code."""

import re
import subprocess
from dataclasses import fields
from datetime import timedelta
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import typer.main
from graphql import build_schema, parse, validate
from typer.core import TyperGroup

from documents.reservation import KEPT_SECONDS
from documents.upload import UploadPurpose
from graph.cli import app
from graph.deadline import REQUEST_WITHIN
from graph.errors import (
    BAD_REQUEST,
    BAD_USER_INPUT,
    INTERNAL,
    LIMIT_EXCEEDED,
    PARSE_FAILED,
    UNAUTHENTICATED,
    UNAVAILABLE,
    VALIDATION_FAILED,
)
from graph.limits import Limits
from graph.log_entry import MOST_ENTRIES
from graph.node import MOST_IDS
from graph.request import BODY_TIMEOUT, MAX_BODY
from graph.schema import schema
from graph.settings import OF_CLIENTS, Settings, variable_of
from graph.sockets import MAX_MESSAGE, MAX_OPERATIONS, MAX_SOCKETS, READ_WITHIN
from graph.user_errors import ErrorCode
from graph.where import DEEPEST
from graph.worker.environment import GIVEN
from resolvers import log_entry, report_metadata
from resolvers.changes import MOST_WATCHING
from resolvers.claiming import LONGEST_LEASE
from resolvers.cursor import BadCursor
from resolvers.execution_checks import MOST_STEPS
from resolvers.file_events import MOST_FILES
from resolvers.filters import MOST_VALUES
from resolvers.ingest.distributions import MOST
from resolvers.ingestion import MOST_NAMED
from resolvers.output import MOST_AUTHORIZED, MOST_URLS
from resolvers.page import COUNT_CAP, DEFAULT_SIZE, LARGEST_SIZE
from resolvers.queueing import MOST_REMEMBERED
from resolvers.result import MOST_OUTPUTS
from resolvers.runs import MOST_ATTEMPTS
from resolvers.signed_url import MOST_SECONDS
from resolvers.uploads import KEPT, LARGEST, MOST_OPEN
from resolvers.usage_counts import MOST_GROUPS
from resolvers.usage_runtimes import EXACT_SAMPLES
from tests.needs import PROJECT, need

DOCUMENTS = sorted(PROJECT.glob("*.md"))
README = (PROJECT / "README.md").read_text(encoding="utf-8")
TABS = PROJECT / "graph/graphiql/queries"

SETTINGS = Settings.model_construct()
LIMITS = {
    "bytes of a request's body": MAX_BODY,
    "seconds for sending it": BODY_TIMEOUT,
    "seconds that a request waits for the database": REQUEST_WITHIN,
    "characters of a document": Limits.characters,
    "tokens of a document": Limits.tokens,
    "levels of fields, introspection aside": Limits.depth,
    "aliases": Limits.aliases,
    "root fields": Limits.root_fields,
    "directives": Limits.directives,
    "fields, with fragments spread": Limits.fields,
    "fragments": Limits.fragments,
    "pairs of fields with one name in one place": Limits.comparisons,
    "values in variables": Limits.values,
    "levels of variables": Limits.value_depth,
    "rows of a page": LARGEST_SIZE,
    "log lines of a page": MOST_ENTRIES,
    "rows of a page when nothing is said": DEFAULT_SIZE,
    "counted rows; `totalCount` is null beyond": COUNT_CAP,
    "ids for `nodes`": MOST_IDS,
    "values of an `in`": MOST_VALUES,
    "levels of a `where`": DEEPEST,
    "documents in one `ingestTransform`": MOST,
    "files in one `reportFiles`": MOST_FILES,
    "steps of an execution": MOST_STEPS,
    "seconds of a lease": LONGEST_LEASE,
    "times that a step or transform is begun": MOST_ATTEMPTS,
    "lines in one `appendLogs`": log_entry.MOST_AT_ONCE,
    "characters of a line of a log": log_entry.LONGEST_MESSAGE,
    "lines of an attempt": log_entry.MOST_LINES,
    "outputs of a result": MOST_OUTPUTS,
    "bytes of an uploaded output": LARGEST[UploadPurpose.OUTPUT],
    "bytes of an uploaded archive": LARGEST[UploadPurpose.ARCHIVE],
    "bytes of a report's metadata": report_metadata.LARGEST,
    "archives named in one `ingestArchives`": MOST_NAMED,
    "ingestions that an archive tells of": MOST_REMEMBERED,
    "groups of one `toolUsage`, of which at most 100 are shown": MOST_GROUPS,
    "runtimes in one `toolUsage` for exact percentiles": EXACT_SAMPLES,
    "hours until an upload must be registered": KEPT / timedelta(hours=1),
    "uploads of one token or user that wait for that": MOST_OPEN,
    "seconds that a signed URL works": MOST_SECONDS,
    "signed URLs in one answer": MOST_URLS,
    "users that an output names as its readers": MOST_AUTHORIZED,
    "operations at a time on one WebSocket": MAX_OPERATIONS,
    "bytes of a message on it": MAX_MESSAGE,
    "seconds that a client may leave a message unread": READ_WITHIN,
    "WebSockets of a process": MAX_SOCKETS,
    "subscriptions of a process": MOST_WATCHING,
    "objects of an answer": SETTINGS.objects,
    "objects of an answer to an anonymous caller": SETTINGS.anonymous_objects,
}


def section(title: str) -> str:
    """What stands below a heading of the README, down to the next of its rank."""
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", README, re.MULTILINE | re.DOTALL)
    assert found, f"README.md has no section {title}"
    return found[1]


def subsection(title: str) -> str:
    """What stands below a heading of the second rank, down to the next one."""
    found = re.search(rf"^### {title}\n(.*?)(?=^###? |\Z)", README, re.MULTILINE | re.DOTALL)
    assert found, f"README.md has no subsection {title}"
    return found[1]


def rows(title: str) -> list[list[str]]:
    """The cells of the tables of a section, without headings."""
    lines = re.findall(r"^\|(.*)\|$", section(title), re.MULTILINE)
    cells = [[cell.strip() for cell in line.split(" | ")] for line in lines]
    heads = [number - 1 for number, line in enumerate(lines) if set(line) <= set("-|")]
    return [row for number, row in enumerate(cells) if number not in heads and number - 1 not in heads]


def blocks(language: str) -> list[str]:
    """The fenced blocks of the README in a language, those without one when it is empty."""
    pairs = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    return [text for named, text in pairs if named == language]


def anchors(document: Path) -> set[str]:
    """Where links into a document may lead, by GitHub's rule for headings."""
    headings = re.findall(r"^#+ (.*)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("query", blocks("graphql"), ids=lambda query: query.split("\n")[0][:30])
def test_a_query_of_the_readme_fits_the_committed_schema(query: str) -> None:
    committed = build_schema((PROJECT / "schema.graphql").read_text(encoding="utf-8"))

    assert validate(committed, parse(query)) == []


@pytest.mark.parametrize("tab", ["1_catalogue.graphql", "2_twins.graphql", "3_servers.graphql"])
def test_a_chain_of_the_readme_is_that_of_the_tab(tab: str) -> None:
    lines = (TABS / tab).read_text(encoding="utf-8").splitlines(keepends=True)

    assert "".join(line for line in lines if not line.startswith("#")) in blocks("graphql")


def test_the_readme_names_every_mutation_that_is_served() -> None:
    mutation = schema._schema.mutation_type
    assert mutation

    assert [name for name in mutation.fields if not re.search(rf"\b{name}\b", README)] == []


def test_the_table_of_settings_names_every_variable_once_and_nothing_else() -> None:
    named = [row[0].strip("`") for row in rows("Configuration")]

    assert sorted(named) == sorted(variable_of(field) for field in Settings.model_fields)


def test_the_documents_name_no_variable_that_is_not_read() -> None:
    known = {variable_of(field) for field in Settings.model_fields} | {*OF_CLIENTS, *GIVEN}
    named = chain.from_iterable(re.findall(r"PROVENANCE_[A-Z_]*[A-Z]", one.read_text("utf-8")) for one in DOCUMENTS)

    assert set(named) - known == set()


def test_the_defaults_of_the_table_are_those_of_the_settings() -> None:
    said = {row[0].strip("`"): row[1] for row in rows("Configuration")}

    for name in ("env", "port", "database_name", "log_level", "objects", "anonymous_objects", "executor"):
        assert said[variable_of(name)] == f"`{Settings.model_fields[name].default}`"


def test_the_table_of_limits_gives_the_values_of_the_code() -> None:
    assert {row[0]: int(row[1].replace(",", "")) for row in rows("Limits")} == {
        name: int(value) for name, value in LIMITS.items()
    }
    assert {field.name for field in fields(Limits)} == {
        "characters", "tokens", "depth", "aliases", "root_fields", "directives", "fields", "fragments", "comparisons",
        "values", "value_depth",
    }, "a limit is missing from the README"  # fmt: skip


def test_every_code_of_an_error_is_in_the_tables() -> None:
    named = set(re.findall(r"`([A-Z_]+)`", section("Errors")))
    request = {PARSE_FAILED, VALIDATION_FAILED, BAD_USER_INPUT, BAD_REQUEST, LIMIT_EXCEEDED, UNAUTHENTICATED}

    assert named == {code.value for code in ErrorCode} | request | {UNAVAILABLE, INTERNAL, BadCursor.code}


def test_the_table_of_a_commands_environment_is_what_a_worker_sets() -> None:
    named = dict(re.findall(r"^\| `(PROVENANCE_[A-Z_]+)` \| (.*) \|$", subsection("Run a worker"), re.MULTILINE))

    assert named == GIVEN


def test_what_the_readme_shows_of_the_script_stands_in_it() -> None:
    (shown,) = blocks("bash")
    script = (PROJECT / "examples/worker.sh").read_text(encoding="utf-8")

    assert [part for part in re.split(r"\n(?=\w+\(\) \{)", shown) if part.strip() not in script] == []


def test_keys_are_kept_as_long_as_the_readme_says() -> None:
    assert f"kept for {KEPT_SECONDS // 86_400} days" in README


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


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_links_within_the_repository_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", document.read_text(encoding="utf-8")):
        path, _, anchor = target.partition("#")
        led = PROJECT / path if path else document
        assert led.is_file(), target
        assert not anchor or anchor in anchors(led), target


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


def _code(document: Path) -> str:
    """What is set as code, in lines or in a sentence, one piece a line."""
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
