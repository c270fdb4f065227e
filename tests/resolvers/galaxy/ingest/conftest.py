"""Settings for the tests of ingest workers, on a machine of any speed."""

import pytest

from resolvers.galaxy.ingest import part_lease, poll_loop, row_writer
from tests.support.patience import within


@pytest.fixture(autouse=True)
def patient_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let workers in this process take their time for what they give up on else, after a second or three."""
    monkeypatch.setattr(part_lease, "INGESTION_UPDATE_TIMEOUT", within())
    monkeypatch.setattr(row_writer, "DRAIN_TIMEOUT", within())
    monkeypatch.setattr(poll_loop, "RELEASE_TIMEOUT", within())
