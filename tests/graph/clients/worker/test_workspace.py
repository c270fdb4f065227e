"""The folders in which a worker runs things."""

import logging
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from graph.clients.worker import workspace
from graph.clients.worker.workspace import check_space


def test_a_folder_that_cannot_be_removed_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def in_vain(folder: Path, *, ignore_errors: bool) -> None:
        assert ignore_errors

    monkeypatch.setattr(shutil, "rmtree", in_vain)

    with caplog.at_level(logging.WARNING):
        workspace._remove(tmp_path)

    assert caplog.messages == [f"{tmp_path} cannot be removed completely, and takes up space."]


def test_a_folder_that_is_removed_is_worth_no_word(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "made" / "below").mkdir(parents=True)

    with caplog.at_level(logging.DEBUG):
        workspace._remove(tmp_path / "made")

    assert (list(tmp_path.iterdir()), caplog.messages) == ([], [])


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let this process write no file beyond this size within the block, as if the disk were full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_there_is_space_from_a_mebibyte_on_and_nothing_is_left_of_the_check(tmp_path: Path) -> None:
    with largest_file(1_048_576):
        check_space(tmp_path)
    with largest_file(1_048_575), pytest.raises(OSError, match="File too large"):
        check_space(tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_there_is_no_space_in_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        check_space(tmp_path / "gone")
