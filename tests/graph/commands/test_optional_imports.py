"""The modules that a server imports before it serves."""

import subprocess
import sys

import pytest

from graph.commands.optional_imports import skip_unused_modules, without_rich
from tests.support.running import ROOT

SERVER = """
import sys
from graph.commands.main import import_libraries
import_libraries()
import graph.server.assemble
print("\\n".join(name for name, module in sys.modules.items() if module is not None))
"""
"""Imports what `provenance-graph serve` imports, and prints the names of all modules."""
HELP = """
import sys
import graph.commands.main
print("\\n".join(sys.modules))
"""
NEVER_NEEDED = ("cryptography", "google", "httpx2", "jwt", "pyarrow", "pygments", "rich", "watchfiles", "yaml")
"""Packages for an issuer, a bucket, exports, progress bars, reloads and descriptions of components."""
OF_THE_SERVER = ("beanie", "graphql", "pymongo", "starlette", "strawberry", "structlog", "uvicorn")


def packages(program: str) -> set[str]:
    """The top-level packages that a program has imported."""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in done.stdout.split()}


def test_a_server_imports_nothing_that_a_request_may_never_need() -> None:
    imported = packages(SERVER)

    assert imported.isdisjoint(NEVER_NEEDED)
    assert imported.issuperset(OF_THE_SERVER)


def test_help_waits_for_no_package_of_the_server() -> None:
    assert packages(HELP).isdisjoint((*NEVER_NEEDED, *OF_THE_SERVER))


def test_a_module_that_is_imported_already_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    module = type(sys)("watchfiles")
    monkeypatch.setitem(sys.modules, "watchfiles", module)

    skip_unused_modules()

    assert sys.modules["watchfiles"] is module


def test_rich_can_be_imported_again_after_it_was_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "rich"]:
        monkeypatch.delitem(sys.modules, name)

    with without_rich(), pytest.raises(ImportError):
        import rich
    import rich

    assert rich.__name__ == "rich"
