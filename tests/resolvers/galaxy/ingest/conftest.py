"""What every test of ingest workers needs, on a machine of any speed."""

import pytest

from resolvers.galaxy.ingest import part_lease, poll_loop, row_writer
from tests.support.patience import within


@pytest.fixture(autouse=True)
def patient_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let workers in this process take their time for what they give up on else, after a second or three."""
    monkeypatch.setattr(part_lease, "TOLD_WITHIN", within())
    monkeypatch.setattr(row_writer, "DRAINED_WITHIN", within())
    monkeypatch.setattr(poll_loop, "HANDED_BACK_WITHIN", within())
