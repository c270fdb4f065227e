"""`provenance-graph upload`, as an operator types it."""

import subprocess
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from typer.testing import CliRunner

from graph.clients.report_uploader import INSTANCE, KEY
from graph.clients.report_uploader.client import UploadClient, UploadError
from graph.clients.report_uploader.folder import find_reports
from graph.commands.main import app
from tests.journeys.killed_command import run_until_killed
from tests.support.galaxies import Galaxy, a_report, an_identifier, metadata
from tests.support.running import Running, command, environment
from tests.support.storage import serve


@pytest.fixture
def galaxy(server: Running) -> Galaxy:
    return Galaxy.new(server)


def reports(folder: Path, number: int, size: int = 0) -> Path:
    """A folder with so many reports and some other files."""
    for _ in range(number):
        content, identifier = a_report() + bytes(size), an_identifier()
        (folder / f"{identifier}.json").write_bytes(metadata(identifier, content))
        (folder / f"{identifier}.tar.gz").write_bytes(content)
    (folder / "metadata.json").write_text("{}")
    (folder / ".checkpoint").write_text("98")
    return folder


def typed(galaxy: Galaxy, folder: Path, **env: str) -> "subprocess.CompletedProcess[str]":
    """Run the upload command, with the instance's key in its environment."""
    return command("upload", str(folder), "--url", galaxy.server.url, env=variables(galaxy, folder) | env)


def variables(galaxy: Galaxy, folder: Path) -> dict[str, str]:
    return environment(folder) | {INSTANCE: galaxy.uuid, KEY: galaxy.key}


def test_a_folder_is_uploaded_and_a_second_run_sends_nothing(galaxy: Galaxy, tmp_path: Path) -> None:
    reports(tmp_path, 3)

    first = typed(galaxy, tmp_path)
    before = galaxy.objects()
    second = typed(galaxy, tmp_path)

    assert (first.returncode, second.returncode) == (0, 0), first.stderr
    assert first.stderr.endswith("3 sent, 0 there already, 0 refused.\n")
    assert second.stderr == "0 sent, 3 there already, 0 refused.\n"
    assert galaxy.objects() == before
    assert sorted(one["identifier"] for one in galaxy.archives()) == sorted(
        one.stem for one in tmp_path.glob("1*.json")
    )
    assert galaxy.key not in first.stderr + second.stderr + galaxy.server.log


def test_a_run_that_was_killed_goes_on_where_it_stopped(galaxy: Galaxy, tmp_path: Path) -> None:
    reports(tmp_path, 7, size=300_000)
    words = ["upload", str(tmp_path), "--url", galaxy.server.url]
    run_until_killed("open", ".tar.gz", 3, *words, env=variables(galaxy, tmp_path))
    before = len(galaxy.archives())

    done = typed(galaxy, tmp_path)

    assert before == 3
    assert done.stderr.endswith("4 sent, 3 there already, 0 refused.\n")
    kept = galaxy.archives()
    assert len(kept) == len({one["identifier"] for one in kept}) == 7


def test_what_is_refused_or_not_read_is_said_and_the_rest_is_sent(galaxy: Galaxy, tmp_path: Path) -> None:
    reports(tmp_path, 2)
    for identifier, fields in (("1.5", {"report_hash": f"sha256:{'0' * 64}"}), ("2.5", {"version": 4})):
        (tmp_path / f"{identifier}.tar.gz").write_bytes(b"bytes")
        (tmp_path / f"{identifier}.json").write_bytes(metadata(identifier, b"bytes", **fields))

    done = typed(galaxy, tmp_path)

    assert done.returncode == 1
    assert "3 sent, 0 there already, 1 refused." in done.stderr
    assert (
        "Stored, but not ingested: 2.5: Kept, but not read by this release: The version of its metadata is 4"
        in done.stderr
    )
    assert "Refused: 1.5: The SHA-256 of the archive is" in done.stderr


def test_a_report_that_was_changed_is_sent_again_and_refused(galaxy: Galaxy, tmp_path: Path) -> None:
    reports(tmp_path, 1)
    typed(galaxy, tmp_path)
    (file,) = tmp_path.glob("*.tar.gz")
    identifier = file.name.removesuffix(".tar.gz")
    file.write_bytes(b"other bytes")
    (tmp_path / f"{identifier}.json").write_bytes(metadata(identifier, b"other bytes"))

    done = typed(galaxy, tmp_path)

    assert done.returncode == 1
    assert "with other bytes" in done.stderr
    assert len(galaxy.archives()) == 1


def test_a_wrong_key_is_said_without_showing_it(galaxy: Galaxy, tmp_path: Path) -> None:
    reports(tmp_path, 1)

    done = typed(galaxy, tmp_path, **{KEY: "pgi_wrong"})

    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f"{galaxy.server.url} does not accept this instance and key. Check that {INSTANCE} is the UUID of an instance "
        f"there, and that {KEY} is this instance's newest key: earlier ones are refused."
    )
    assert "pgi_wrong" not in done.stderr


def test_a_key_that_is_not_given_is_asked_for_and_not_shown(galaxy: Galaxy, tmp_path: Path) -> None:
    reports(tmp_path, 1)
    words = ["upload", str(tmp_path), "--instance", galaxy.uuid, "--url", galaxy.server.url]

    done = CliRunner().invoke(app, words, input=f"{galaxy.key}\n", env={KEY: None})

    assert done.exit_code == 0, done.output
    assert galaxy.key not in done.output
    assert len(galaxy.archives()) == 1


def test_a_server_that_fails_for_a_moment_is_asked_again_and_one_that_redirects_is_not(tmp_path: Path) -> None:
    asked = []

    async def whoami(request: Request) -> Response:
        asked.append(request.headers["authorization"])
        return JSONResponse({"reports": {"1.5": "sha256:0"}}, 503 if len(asked) < 3 else 200)

    async def elsewhere(request: Request) -> Response:
        asked.append("elsewhere")
        return Response(status_code=307, headers={"Location": "/api/whoami"})

    routes = [
        Route("/api/whoami", whoami, methods=["POST"]),
        Route("/moved/api/whoami", elsewhere, methods=["POST"]),
    ]
    with serve(Starlette(routes=routes)) as url:
        patient = UploadClient(url, "a-uuid", "a-key", delays=(0.01, 0.01))
        found = patient.reports()
        moved = UploadClient(f"{url}/moved", "a-uuid", "a-key", delays=(0.01,))
        with pytest.raises(UploadError, match="answers 307"):
            moved.reports()
        for one in (patient, moved):
            one.close()

    assert found == {"1.5": "sha256:0"}
    assert asked == ["a-uuid:a-key"] * 3 + ["elsewhere"]


def test_a_server_that_is_not_there_ends_the_run_with_what_to_do(tmp_path: Path) -> None:
    gone = UploadClient("http://127.0.0.1:1", "a-uuid", "a-key", delays=(0.01,))

    with pytest.raises(UploadError, match=r"http://127\.0\.0\.1:1 does not answer"):
        gone.reports()
    gone.close()


def test_reports_go_out_in_the_order_of_their_times(tmp_path: Path) -> None:
    for name in ("999.5", "1500000000.25", "archive", "70.1"):
        for end in (".json", ".tar.gz"):
            (tmp_path / f"{name}{end}").write_bytes(b"")
    (tmp_path / "5.json").write_bytes(b"")

    assert [pair.identifier for pair in find_reports(tmp_path)] == ["70.1", "999.5", "1500000000.25", "archive"]
