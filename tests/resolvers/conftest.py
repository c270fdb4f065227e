"""Settings for the tests of resolvers, on a machine of any speed."""

import pytest

from resolvers.storage import verify_upload
from resolvers.writes import idempotency
from tests.support.patience import within


@pytest.fixture(autouse=True)
def patient_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let who waits for a call under the same key, or for bytes that another reads, wait until that has ended."""
    monkeypatch.setattr(idempotency, "WAIT_TIMEOUT", within())
    defaults = verify_upload.verify_upload.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "patience", within())
