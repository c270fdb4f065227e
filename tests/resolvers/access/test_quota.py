"""Quotas: counted in memory, stored together, and enforced for users and tokens."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import documents
from resolvers.access.quota import MAX_IDLE, QuotaExceeded, QuotaMeter, run_meter, use_meter
from resolvers.access.quota_sizes import QuotaName, QuotaSubject, Sizes
from resolvers.access.viewer import ADMIN, ANONYMOUS, Role, Viewer
from tests.conftest import RoundTrips
from tests.support.asking import ask
from tests.support.credentials import Clock

pytestmark = pytest.mark.usefixtures("database")

REQUESTS, OBJECTS, UPLOADS = QuotaName.REQUESTS, QuotaName.OBJECTS, QuotaName.UPLOADS
SIZES: Sizes = {
    (QuotaSubject.USER, REQUESTS): 3,
    (QuotaSubject.TOKEN, REQUESTS): 2,
    (QuotaSubject.USER, OBJECTS): 100,
    (QuotaSubject.TOKEN, OBJECTS): 0,
}
ADA = Viewer(Role.USER, "user_1")
LAPTOP = Viewer(Role.USER, "user_1", "token_1")
PHONE = Viewer(Role.USER, "user_1", "token_2")
CREATE_UPLOAD = """mutation ($input: CreateUploadInput!) { createUpload(input: $input) {
  upload { id } userErrors { code message } } }"""
QUOTAS = "{ viewer { quotas { name subject size used renewedAt } } }"


@pytest.fixture
def clock() -> Clock:
    clock = Clock()
    clock.at = datetime(2026, 5, 1, 12, tzinfo=UTC)
    return clock


@pytest.fixture
def meter(clock: Clock) -> Iterator[QuotaMeter]:
    meter = QuotaMeter(SIZES | {(QuotaSubject.USER, UPLOADS): 1}, clock)
    use_meter(meter)
    yield meter
    use_meter(None)


async def refusal(meter: QuotaMeter, viewer: Viewer, name: QuotaName = REQUESTS) -> str | None:
    """The message with which the meter refuses the viewer, None when it does not."""
    try:
        await meter.check(viewer, name)
    except QuotaExceeded as error:
        return error.message
    return None


async def stored() -> dict[str, tuple[int, int, int]]:
    rows = await documents.QuotaUsage.find({}).sort("subject").to_list()
    return {row.id: (row.requests, row.objects, row.uploads) for row in rows}


async def test_a_quota_that_is_used_up_says_which_it_is_and_when_it_is_renewed(meter: QuotaMeter) -> None:
    await meter.add(ADA, REQUESTS, 2)
    before = await refusal(meter, ADA)
    await meter.add(ADA, REQUESTS)

    assert before is None
    assert await refusal(meter, ADA) == (
        "The quota of 3 requests a day of user_1 is used up. It is renewed at 2026-05-02T00:00:00Z."
    )
    assert await refusal(meter, ADA, OBJECTS) is None


async def test_what_tokens_use_counts_for_each_token_and_for_their_user(meter: QuotaMeter) -> None:
    await meter.add(LAPTOP, REQUESTS, 2)
    laptop, phone = await refusal(meter, LAPTOP), await refusal(meter, PHONE)
    await meter.add(PHONE, REQUESTS)

    assert laptop is not None
    assert "of token_1 is used up" in laptop
    assert phone is None
    assert "of user_1 is used up" in str(await refusal(meter, PHONE))


async def test_administrators_and_anonymous_callers_have_no_quotas(meter: QuotaMeter, round_trips: RoundTrips) -> None:
    with round_trips.counting() as seen:
        for viewer in (ADMIN, Viewer(Role.ADMIN, "user_1", "token_1"), ANONYMOUS):
            await meter.add(viewer, REQUESTS, 100)
            assert await refusal(meter, viewer) is None

    assert seen == []


async def test_the_next_day_begins_with_nothing_used(meter: QuotaMeter, clock: Clock) -> None:
    await meter.add(ADA, REQUESTS, 3)
    clock.at = datetime(2026, 5, 1, 23, 59, 59, tzinfo=UTC)
    late = await refusal(meter, ADA)
    clock.move(seconds=1)

    assert late is not None
    assert await refusal(meter, ADA) is None


async def test_requests_cost_no_writes_and_a_flush_stores_all_by_one_command(
    meter: QuotaMeter, round_trips: RoundTrips
) -> None:
    with round_trips.counting() as counting:
        for _ in range(10):
            await meter.add(LAPTOP, OBJECTS, 5)
            await meter.add(PHONE, REQUESTS)
    with round_trips.counting() as flushing:
        await meter.flush()
    with round_trips.counting() as idle:
        await meter.flush()

    assert Counter(counting) == {("find", "quota_usage"): 2}
    assert flushing == [("update", "quota_usage"), ("find", "quota_usage")]
    assert idle == [("find", "quota_usage")]
    assert await stored() == {"quota_token_2_20260501": (10, 0, 0), "quota_user_1_20260501": (10, 50, 0)}


async def test_processes_add_up(meter: QuotaMeter, clock: Clock) -> None:
    other = QuotaMeter(SIZES, clock)
    for one in (meter, other):
        await one.add(ADA, REQUESTS, 2)
    before = [await refusal(one, ADA) for one in (meter, other)]

    await meter.flush()
    await other.flush()
    await meter.flush()

    assert before == [None, None]
    assert [await refusal(one, ADA) is None for one in (meter, other)] == [False, False]
    assert await stored() == {"quota_user_1_20260501": (4, 0, 0)}


async def test_a_process_that_begins_knows_what_was_used_before(meter: QuotaMeter, clock: Clock) -> None:
    await meter.add(ADA, REQUESTS, 3)
    await meter.flush()

    assert await refusal(QuotaMeter(SIZES, clock), ADA) is not None


async def test_who_asks_for_nothing_is_forgotten_but_not_what_they_used(
    meter: QuotaMeter, clock: Clock, round_trips: RoundTrips
) -> None:
    await meter.add(ADA, REQUESTS, 3)
    await meter.flush()
    clock.at += MAX_IDLE + timedelta(seconds=1)

    with round_trips.counting() as seen:
        await meter.flush()

    assert seen == []
    assert await refusal(meter, ADA) is not None


async def test_a_meter_stores_what_it_counted_when_it_stops() -> None:
    from resolvers.access.quota import current_meter

    async with run_meter(SIZES, interval=3600):
        meter = current_meter()
        assert meter is not None
        await meter.add(ADA, REQUESTS)

    assert list((await stored()).values()) == [(1, 0, 0)]
    assert current_meter() is None


async def test_without_sizes_nothing_is_counted() -> None:
    from resolvers.access.quota import current_meter

    async with run_meter(dict.fromkeys(SIZES, 0)):
        meter = current_meter()

    assert meter is None


@pytest.mark.usefixtures("folder")
async def test_uploads_beyond_the_quota_are_refused(meter: QuotaMeter) -> None:
    given = {
        "fileName": "a.csv",
        "mediaType": "text/csv",
        "sizeBytes": "4",
        "sha256": "0" * 64,
        "purpose": "OUTPUT",
    }

    first, second = [(await ask(CREATE_UPLOAD, ADA, input=given))["createUpload"] for _ in range(2)]

    assert first["userErrors"] == []
    assert second["userErrors"] == [
        {
            "code": "QUOTA_EXCEEDED",
            "message": "The quota of 1 uploads a day of user_1 is used up. It is renewed at 2026-05-02T00:00:00Z.",
        }
    ]
    assert await documents.Upload.find({}).count() == 1


async def test_viewers_see_their_quotas(meter: QuotaMeter) -> None:
    await meter.add(LAPTOP, REQUESTS, 2)

    shown: Any = await ask(QUOTAS, LAPTOP)
    of_admin: Any = await ask(QUOTAS, ADMIN)

    renewed = {"renewedAt": "2026-05-02T00:00:00.000Z"}
    assert shown["viewer"]["quotas"] == [
        {"name": "REQUESTS", "subject": "USER", "size": 3, "used": 2, **renewed},
        {"name": "REQUESTS", "subject": "TOKEN", "size": 2, "used": 2, **renewed},
        {"name": "OBJECTS", "subject": "USER", "size": 100, "used": 0, **renewed},
        {"name": "UPLOADS", "subject": "USER", "size": 1, "used": 0, **renewed},
    ]
    assert of_admin == {"viewer": {"quotas": []}}
