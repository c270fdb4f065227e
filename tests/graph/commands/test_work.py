"""The options of a worker: what is refused with the reason, and what the worker is given."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from graph.clients.worker.options import ConfigurationError, Options
from graph.commands.work import work

app = typer.Typer()
app.command()(work)


@pytest.fixture(autouse=True)
def unchanged_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the logs of this process as they are."""
    monkeypatch.setattr("graph.commands.work._log_to_stderr", lambda form: None)


def refusal_of(*words: str, token: str = "pgt_1") -> tuple[str, Sequence[str] | None]:
    """The message of a refusal, and the option that it names apart from that."""
    with pytest.raises(typer.BadParameter) as refused:
        CliRunner().invoke(app, words, env={"PROVENANCE_TOKEN": token}, standalone_mode=False, catch_exceptions=False)
    return refused.value.message, refused.value.param_hint


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[Options]:
    """The options of the workers that were run, none of which does anything."""
    options: list[Options] = []
    monkeypatch.setattr("graph.clients.worker.loop.run", options.append)
    return options


def test_options_that_cannot_be_meant_are_refused() -> None:
    only = "Only --name, --once, --until-idle and --poll may be given with it."

    assert refusal_of() == ("Give the command to run for each step or transform.", "--command")
    assert refusal_of("--ingest") == ("Run `provenance-graph work --ingest`.", "--ingest")
    for option in (("--keep",), ("--pass-token",), ("--kind", "steps"), ("--retry-on", "1"), ("--command", "true")):
        assert refusal_of("--ingest", *option) == (only, "--ingest")
    assert refusal_of("--command", "true", token=" ") == ("Set PROVENANCE_TOKEN, or give --token-file.", None)
    kinds = ("--kind", "steps", "--kind", "Jobs")
    assert refusal_of("--command", "true", *kinds) == ("--kind is steps or transforms, not 'job'.", None)


def test_a_file_that_holds_no_token_is_refused_with_the_reason(tmp_path: Path) -> None:
    missing, binary = tmp_path / "missing", tmp_path / "binary"
    binary.write_bytes(b"\xff")

    refused = [refusal_of("--command", "true", "--token-file", str(file)) for file in (missing, binary)]

    reasons = [
        f"[Errno 2] No such file or directory: '{missing}'",
        "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte",
    ]
    expected = [f"{file} cannot be read: {why}." for file, why in zip((missing, binary), reasons, strict=True)]
    assert refused == [(message, None) for message in expected]


def test_a_worker_is_given_what_was_said(ran: list[Options], tmp_path: Path) -> None:
    (token := tmp_path / "token").write_text("pgt_2\n")
    words: list[Any] = [
        *("--command", "make", "--url", "https://graph.example", "--token-file", token, "--name", "mill"),
        *("--kind", "transforms", "--kind", " Transform", "--lease", 2, "--at-once", 3, "--poll", 0.5),
        *("--directory", tmp_path, "--retry-on", 4, "--retry-on", 5, "--retry-within", 6, "--pause", 7),
        *("--connect-within", 8),
        *("--once", "--until-idle", "--keep", "--pass-token"),
    ]

    ended = CliRunner().invoke(app, [str(word) for word in words], env={"PROVENANCE_TOKEN": "pgt_1"})

    assert (ended.exit_code, ended.output) == (0, "")
    assert ran == [
        Options(
            url="https://graph.example", token="pgt_2", command="make", kinds=("TRANSFORM",), name="mill", lease=2,
            at_once=3, once=True, until_idle=True, poll=0.5, directory=tmp_path, keep=True, retry_on=(4, 5),
            retry_within=6.0, connect_within=8.0, pause=7.0, pass_token=True,
        )
    ]  # fmt: skip


def test_a_worker_has_defaults_for_all_but_its_command_and_token(ran: list[Options]) -> None:
    env = {"PROVENANCE_TOKEN": " pgt_1 ", "PROVENANCE_URL": None}

    ended = CliRunner().invoke(app, ["--command", "make"], env=env)

    assert ended.exit_code == 0
    assert ran == [Options(url="http://127.0.0.1:8000", token="pgt_1", command="make")]


def test_an_address_that_is_none_is_wrong_usage(ran: list[Options]) -> None:
    ended = CliRunner().invoke(app, ["--command", "make", "--url", "ftp://x"], env={"PROVENANCE_TOKEN": "pgt_1"})

    assert (ended.exit_code, ran) == (2, [])
    assert "PROVENANCE_URL must be an address" in ended.stderr


def test_a_worker_whose_server_does_not_answer_ends_within_the_given_time() -> None:
    words = ["--command", "make", "--url", "http://127.0.0.1:1", "--connect-within", "1"]

    ended = CliRunner().invoke(app, words, env={"PROVENANCE_TOKEN": "pgt_1"})

    assert (ended.exit_code, ended.stdout) == (1, "")
    assert ended.stderr.splitlines()[-1] == (
        "No server of provenance-graph answered at http://127.0.0.1:1/graphql within 1 s. "
        "Is the address right, and is the server up?"
    )


def test_what_only_a_person_can_change_ends_the_command_with_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(options: Options) -> None:
        raise ConfigurationError("The server does not accept the token.")

    monkeypatch.setattr("graph.clients.worker.loop.run", run)

    ended = CliRunner().invoke(app, ["--command", "make"], env={"PROVENANCE_TOKEN": "pgt_1"})

    assert (ended.exit_code, ended.stdout, ended.stderr) == (1, "", "The server does not accept the token.\n")
