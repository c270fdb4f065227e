"""The lines that a command notes in PROVENANCE_USED, and the report that its worker makes: bytes and traps are real."""

import asyncio
import hashlib
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from graph.clients.worker import open_beneath, used
from graph.clients.worker.inputs import FetchedInput
from graph.clients.worker.transfer import sha256_of_open
from graph.clients.worker.used import MAX_NOTED, UsedReport
from graph.clients.worker.used_file import MAX_USED_BYTES, UsedLine
from graph.clients.worker.workspace import Workspace

Entries = list[dict[str, Any]] | None

FETCHED, UNKNOWN, ELSEWHERE = (f"output_{digit * 24}" for digit in "123")
RAIN = "https://data.example/rain.csv"
SHA256 = hashlib.sha256(b"rain").hexdigest()


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """The folders of a command that read a fetched input, and fetched a file itself."""
    workspace = Workspace(tmp_path / "workspace")
    for folder in (workspace.work, workspace.inputs / "a" / "b", workspace.outputs):
        folder.mkdir(parents=True)
    (workspace.inputs / "a" / "b" / "c d.csv").write_bytes(b"fetched")
    (workspace.work / "rain.csv").write_bytes(b"rain")
    (workspace.folder / "activity.json").write_bytes(b"{}")
    return workspace


async def report(workspace: Workspace, *lines: str | bytes, was_known: bool = True) -> tuple[Entries, list[str]]:
    """The artifacts that are reported when a command notes these lines, and what the log says."""
    workspace.used_file.write_bytes(b"\n".join(os.fsencode(line) for line in lines))
    return await report_of(workspace, was_known=was_known)


async def report_of(workspace: Workspace, *, was_known: bool = True) -> tuple[Entries, list[str]]:
    notes: list[str] = []

    async def note(message: str) -> None:
        notes.append(message)

    path = workspace.inputs / "a" / "b" / "c d.csv"
    fetched = [FetchedInput(FETCHED, path, hashlib.sha256(b"fetched").hexdigest(), was_known)]
    return await UsedReport(workspace, fetched, note).entries(), notes


@pytest.mark.parametrize(
    ("text", "target", "details"),
    [
        (RAIN, RAIN, {}),
        (f" {RAIN}\tversion=5 \t sha256={SHA256} ", RAIN, {"version": "5", "sha256": SHA256}),
        (
            f"{RAIN} type=text/csv; charset=utf-8 file=a b.csv",
            RAIN,
            {"type": "text/csv; charset=utf-8", "file": "a b.csv"},
        ),
        ("gs://bucket/a b.csv version=5", "gs://bucket/a b.csv", {"version": "5"}),
        (f"{RAIN}?version=5", f"{RAIN}?version=5", {}),
        (f"{RAIN} size=5", f"{RAIN} size=5", {}),
        (f"{FETCHED} sha256={SHA256}", FETCHED, {"sha256": SHA256}),
        (f"{FETCHED}.csv version=5", f"{FETCHED}.csv version=5", {}),
        (" a version=5 ", " a version=5 ", {}),
    ],
)
def test_a_line_names_a_url_or_an_id_with_details_or_a_path(text: str, target: str, details: dict[str, str]) -> None:
    assert UsedLine.of(1, text) == UsedLine(1, target, details)


async def test_urls_ids_and_paths_to_inputs_are_reported_each_once(workspace: Workspace) -> None:
    (workspace.work / "link").symlink_to("../inputs/a")
    place = workspace.inputs / "a" / "b" / "c d.csv"

    entries, notes = await report(
        workspace,
        f"{RAIN} version=5 type=text/csv",
        f"{ELSEWHERE} sha256={SHA256}",
        str(place),
        "",
        "../inputs/a/./b/c d.csv\r",
        "link/b/c d.csv",
        f"{RAIN} version=5 type=text/csv",
    )

    assert (entries, notes) == (
        [
            {"url": RAIN, "version": "5", "mediaType": "text/csv"},
            {"id": ELSEWHERE, "sha256": SHA256},
            {"id": FETCHED},
        ],
        [],
    )


async def test_bytes_of_what_lies_elsewhere_are_hashed(workspace: Workspace) -> None:
    (workspace.outputs / "link").symlink_to(workspace.work)
    (workspace.work / os.fsdecode(b"caf\xe9 1")).write_bytes(b"")

    entries, notes = await report(
        workspace,
        f"{RAIN} file=rain.csv",
        f"{RAIN} version=6 sha256={SHA256.upper()} file=../outputs/link/rain.csv",
        f"{ELSEWHERE} file={workspace.work}/rain.csv",
        RAIN.encode() + b" version=7 file=caf\xe9 1",
    )

    empty = hashlib.sha256(b"").hexdigest()
    assert (entries, notes) == (
        [
            {"url": RAIN, "sha256": SHA256, "sizeBytes": "4"},
            {"url": RAIN, "version": "6", "sha256": SHA256, "sizeBytes": "4"},
            {"id": ELSEWHERE, "sha256": SHA256},
            {"url": RAIN, "version": "7", "sha256": empty, "sizeBytes": "0"},
        ],
        [],
    )


async def test_a_hash_that_nobody_knew_is_reported_and_one_that_is_known_is_not(workspace: Workspace) -> None:
    known, unknown = await report(workspace), await report(workspace, RAIN, was_known=False)

    assert known == (None, [])
    assert unknown == ([{"id": FETCHED, "sha256": hashlib.sha256(b"fetched").hexdigest()}, {"url": RAIN}], [])


@pytest.mark.parametrize(("content", "entries"), [(b"", None), (b"\n", []), (b" \r\n\n\t", []), (b"gone\n\n", None)])
async def test_blank_lines_alone_say_that_nothing_was_read(
    workspace: Workspace, content: bytes, entries: Entries
) -> None:
    workspace.used_file.write_bytes(content)

    assert (await report_of(workspace))[0] == entries


OUTSIDE = "is not a file in the command's folders"
NO_INPUT = "is not an input: write `URL file=PATH` if it comes from elsewhere"
IRREGULAR = "is not a regular file"
MISSING = "cannot be read: No such file or directory"
MANGLED = "holds control characters, or is not UTF-8"


@pytest.mark.parametrize(
    ("line", "shown", "why"),
    [
        ("rain.csv", "'rain.csv'", NO_INPUT),
        ("gone.csv", "'gone.csv'", MISSING),
        ("rain.csv/below", "'rain.csv/below'", "cannot be read: Not a directory"),
        ("../inputs/a", "'../inputs/a'", IRREGULAR),
        ("..", "'..'", OUTSIDE),
        ("../inputs", "'../inputs'", OUTSIDE),
        ("../activity.json", "'../activity.json'", OUTSIDE),
        ("../../workspace-of-another/file", "'../../workspace-of-another/file'", OUTSIDE),
        ("/etc/passwd", "'/etc/passwd'", OUTSIDE),
        ("out", "'out'", OUTSIDE),
        ("up/passwd", "'up/passwd'", OUTSIDE),
        ("loop", "'loop'", "leads through more than 10 links"),
        ("fifo", "'fifo'", IRREGULAR),
        ("device", "'device'", OUTSIDE),
        ("socket", "'socket'", IRREGULAR),
        ("a/" * 200 + "a", f"'{'a/' * 100}'", "is more than 200 folders deep"),
        ("a" * 300, f"'{'a' * 200}'", "cannot be read: File name too long"),
        (b"a\0b", r"'a\x00b'", "holds a zero byte"),
        (b"a\xff", r"'a\udcff'", MISSING),
        (f"{RAIN} file=fifo", f"'{RAIN}'", f"has a file 'fifo' that {IRREGULAR}"),
        (f"{RAIN} file=out", f"'{RAIN}'", f"has a file 'out' that {OUTSIDE}"),
        (f"{RAIN} sha256=ABC file=rain.csv", f"'{RAIN}'", f"has a file 'rain.csv' with the SHA-256 {SHA256}, not abc"),
        ("https://me:SECRET@b.example/a?sig=SECRET file=x", "'https://b.example/a'", f"has a file 'x' that {MISSING}"),
        (f"{RAIN}\0", rf"'{RAIN}\x00'", MANGLED),
        (b"gs://b/\xff version=5", r"'gs://b/\udcff'", MANGLED),
    ],
)  # fmt: skip
async def test_what_is_no_input_is_refused_with_a_line_and_the_rest_reported(
    workspace: Workspace, line: str | bytes, shown: str, why: str
) -> None:
    work = workspace.work
    os.mkfifo(work / "fifo")
    for name, target in {"out": "/etc/passwd", "up": "/etc", "loop": "loop", "device": "/dev/zero"}.items():
        (work / name).symlink_to(target)
    with socket.socket(socket.AF_UNIX) as listening:
        # Names of sockets are short, and that of a folder of a test is not.
        here = os.open(work, os.O_RDONLY)
        listening.bind(f"/proc/self/fd/{here}/socket")
        os.close(here)

    entries, notes = await report(workspace, line, RAIN)

    assert notes == [f"Not recorded as used: line 1 of PROVENANCE_USED, {shown}, {why}."]
    assert entries == [{"url": RAIN}]


async def test_many_refused_lines_are_counted(workspace: Workspace) -> None:
    entries, notes = await report(workspace, *(f"gone {number}" for number in range(MAX_NOTED + 1_000)))

    assert entries is None
    assert notes[0] == "Not recorded as used: what PROVENANCE_USED holds beyond 1,000 lines and 65,536 bytes."
    assert len(notes) == 1 + MAX_NOTED + 1
    assert notes[-1] == "Not recorded as used: 980 more."


async def test_of_too_large_a_file_whole_lines_are_read(workspace: Workspace) -> None:
    lines = [f"{RAIN}?{number:0970}" for number in range(66)]
    assert sum(len(line) + 1 for line in lines[:65]) < MAX_USED_BYTES < sum(len(line) + 1 for line in lines)

    entries, notes = await report(workspace, *lines)

    assert entries == [{"url": line} for line in lines[:65]]
    assert notes == ["Not recorded as used: what PROVENANCE_USED holds beyond 1,000 lines and 65,536 bytes."]


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda path: None, MISSING),
        (os.mkfifo, IRREGULAR),
        (os.mkdir, IRREGULAR),
        (lambda path: path.symlink_to("/etc/passwd"), OUTSIDE),
    ],
)
async def test_a_file_that_the_command_replaced_is_not_read(
    workspace: Workspace, make: Callable[[Path], None], why: str
) -> None:
    make(workspace.used_file)

    assert await report_of(workspace) == (None, [f"Not recorded as used: PROVENANCE_USED {why}."])


@pytest.mark.parametrize(
    ("target", "why"),
    [("fifo", IRREGULAR), ("/etc/passwd", "cannot be read: Too many levels of symbolic links")],
)
async def test_what_takes_the_place_of_a_file_between_two_looks_is_not_read(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, target: str, why: str
) -> None:
    os.mkfifo(workspace.work / "fifo")
    if target != "fifo":
        (workspace.work / "fifo").unlink()
        (workspace.work / "fifo").symlink_to(target)
    monkeypatch.setattr(open_beneath, "_mode", lambda name, directory: stat.S_IFREG)

    _, notes = await report(workspace, f"{RAIN} file=fifo")

    assert notes == [f"Not recorded as used: line 1 of PROVENANCE_USED, '{RAIN}', has a file 'fifo' that {why}."]


async def test_a_folder_that_becomes_a_link_between_two_looks_leads_nowhere(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    (workspace.work / "up").symlink_to("/etc")
    real = open_beneath._mode
    monkeypatch.setattr(open_beneath, "_mode", lambda name, place: stat.S_IFDIR if name == "up" else real(name, place))

    _, notes = await report(workspace, f"{RAIN} file=up/passwd")

    (note,) = notes
    assert note.endswith("has a file 'up/passwd' that cannot be read: Not a directory.")


async def test_a_file_that_changes_while_it_is_hashed_is_refused(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def append_and_hash(file: BinaryIO) -> tuple[str, int]:
        with (workspace.work / "rain.csv").open("ab") as opened:
            opened.write(b"more")
        return await sha256_of_open(file)

    monkeypatch.setattr(used, "sha256_of_open", append_and_hash)

    entries, notes = await report(workspace, f"{RAIN} file=rain.csv")

    assert entries is None
    assert notes[0].endswith("has a file 'rain.csv' that was changed while it was read.")


async def test_hashing_can_be_interrupted(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    with (workspace.work / "huge").open("wb") as opened:
        # Nothing is stored of it, and to hash it takes an hour.
        opened.truncate(2**41)
    hashing = asyncio.Event()

    async def hash_and_tell(file: BinaryIO) -> tuple[str, int]:
        hashing.set()
        return await sha256_of_open(file)

    monkeypatch.setattr(used, "sha256_of_open", hash_and_tell)
    working = asyncio.create_task(report(workspace, f"{RAIN} file=huge"))
    await hashing.wait()

    working.cancel()

    with pytest.raises(asyncio.CancelledError):
        await working
