"""Scalars as clients write them: each value is read exactly, and all else is refused in words."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from graphql import GraphQLError

from graph.core.scalars import parse_big_int, parse_datetime, serialize_datetime
from tests.support import builders as new
from tests.support.asking import ADMIN, ask
from tests.support.builders import keep
from tests.support.running import Running

RECORDED = "query ($from: DateTime) { executions(where: { createdAt: { gte: $from } }) { nodes { createdAt } } }"


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("2021-07-05T16:30:05Z", datetime(2021, 7, 5, 16, 30, 5, tzinfo=UTC)),
        ("2021-07-05t16:30:05z", datetime(2021, 7, 5, 16, 30, 5, tzinfo=UTC)),
        ("2021-07-05 16:30:05+02:00", datetime(2021, 7, 5, 14, 30, 5, tzinfo=UTC)),
        ("2021-12-31T23:30:00-00:45", datetime(2022, 1, 1, 0, 15, tzinfo=UTC)),
        ("2021-07-05T16:30:05.1239999Z", datetime(2021, 7, 5, 16, 30, 5, 123000, tzinfo=UTC)),
        ("2021-07-05T16:30:05.999999999Z", datetime(2021, 7, 5, 16, 30, 5, 999000, tzinfo=UTC)),
    ],
)
def test_a_time_is_read_in_utc_and_cut_to_milliseconds(written: str, read: datetime) -> None:
    assert parse_datetime(written) == read
    assert parse_datetime(written).utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (
            "2021-07-05T16:30:05",
            'DateTime must be RFC 3339 with a zone, such as 2021-07-05T16:30:05Z, not "2021-07-05T16:30:05".',
        ),
        (5, "DateTime must be RFC 3339 with a zone, such as 2021-07-05T16:30:05Z, not 5."),
        ("2021-07-05T16:30:05.1234567891Z", "DateTime must be RFC 3339 with a zone"),
        ("2021-02-29T00:00:00Z", 'DateTime "2021-02-29T00:00:00Z" does not exist: day is out of range for month'),
        ("0001-01-01T00:00:00+01:00", 'DateTime "0001-01-01T00:00:00+01:00" does not exist: date value out of range'),
    ],
)
def test_a_time_without_a_zone_or_that_does_not_exist_is_refused(value: Any, said: str) -> None:
    with pytest.raises(GraphQLError) as refused:
        parse_datetime(value)

    assert refused.value.message.startswith(said)


def test_a_time_is_shown_in_utc_with_its_milliseconds() -> None:
    in_berlin = datetime(2021, 7, 5, 16, 30, 5, 1999, tzinfo=timezone(timedelta(hours=2)))

    assert serialize_datetime(in_berlin) == "2021-07-05T14:30:05.001Z"
    assert serialize_datetime(datetime(2021, 7, 5, 16, 30)) == "2021-07-05T16:30:00.000Z"


@pytest.mark.parametrize("value", [0, -1, 2**63 - 1, -(2**63), "0", "-1", str(2**63 - 1), str(-(2**63))])
def test_a_whole_number_of_64_bits_is_read_from_digits_and_from_a_number(value: int | str) -> None:
    assert parse_big_int(value) == int(value)
    assert type(parse_big_int(value)) is int


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (2**63, "BigInt must fit into 64 bits; 9223372036854775808 does not."),
        (str(-(2**63) - 1), 'BigInt must fit into 64 bits; "-9223372036854775809" does not.'),
        (True, "BigInt must be a whole number, not true."),
        (1.0, "BigInt must be a whole number, not 1.0."),
        ("+1", 'BigInt must be a whole number, not "+1".'),
        ("٣", 'BigInt must be a whole number, not "\\u0663".'),
        ("9" * 200, f'BigInt must be a whole number, not "{"9" * 99}.'),
    ],
)
def test_a_number_that_is_not_whole_or_too_large_is_refused(value: Any, said: str) -> None:
    with pytest.raises(GraphQLError) as refused:
        parse_big_int(value)

    assert refused.value.message == said


@pytest.mark.usefixtures("database")
async def test_a_time_in_a_variable_is_read_like_one_in_the_query() -> None:
    owner = new.a_user()
    twin = new.a_twin(owner)
    times = (datetime(2021, 7, 5, hour, tzinfo=UTC) for hour in (10, 12))
    await keep(owner, twin, *(new.an_execution(twin, created_at=at) for at in times))

    found = await ask(RECORDED, ADMIN, **{"from": "2021-07-05T13:00:00+02:00"})

    assert found == {"executions": {"nodes": [{"createdAt": "2021-07-05T12:00:00.000Z"}]}}


def test_a_time_in_a_variable_that_is_none_is_refused_in_the_same_words(server: Running) -> None:
    answer = server.post(RECORDED, {"from": "yesterday"}).json()

    (error,) = answer["errors"]
    assert "DateTime must be RFC 3339 with a zone" in error["message"]
