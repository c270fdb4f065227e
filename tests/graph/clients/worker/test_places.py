"""The folders in which a worker runs things."""

import logging
import shutil
from pathlib import Path

import pytest

from graph.clients.worker import workspace


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
