"""Files that are reported: what makes a transform due, what does not, and that order and repeats do not matter."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import AsyncMock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import documents
from documents.catalogue.resource import CodeRepo, MonitorDir
from documents.mongo.database import Database
from documents.mongo.transaction import Session, in_transaction
from resolvers.file_events import file_event
from resolvers.file_events.file_event import FileReport, clear_pending_files, report_files
from resolvers.file_events.monitor_dirs import MAX_DIRECTORIES_IN_FIND
from resolvers.limits import MAX_REPORTED_FILES
from resolvers.sweeps.sweep_loop import sweep
from resolvers.writes.idempotency import run_idempotent
from resolvers.writes.transaction import Outcome
from tests.support.builders import COMMIT, everything_kept, keep
from tests.support.catalogue import ADMIN, REQUEST, STRANGER, USER_ERRORS, WORKER, Answer, ask, code_repo, do, ingest
from tests.support.clock import Clock
from tests.support.patience import within
from tests.support.watching import AFTER, BEFORE, IN, REPORT, WATCHED_SINCE, a_file, report, watch

pytestmark = pytest.mark.usefixtures("database")

CLAIM = f"""mutation ($input: ClaimActivityInput!) {{ claimActivity(input: $input) {{
  activity {{ id attempt }} {USER_ERRORS} }} }}"""

STATE = """{ resources(first: 100, orderBy: [{field: TITLE, direction: ASC}]) { nodes { title revision
  codeRepo { monitorDirs { url lastSeenAt pendingFiles } }
  transforms(first: 100) { nodes { id status code { path commit } cause { kind files message } } } } } }"""


async def state() -> dict[str, Answer]:
    """The resources as clients see them, by their titles."""
    return {one["title"]: one for one in (await ask(STATE))["resources"]["nodes"]}


async def causes(title: str = "births") -> list[Answer | None]:
    """Why transforms of a resource wait or run."""
    return [transform["cause"] for transform in (await state())[title]["transforms"]["nodes"]]


async def pending(title: str = "births") -> list[int]:
    """The number of pending files in each directory of a resource."""
    return [one["pendingFiles"] for one in (await state())[title]["codeRepo"]["monitorDirs"]]


def files_changed(*files: str, message: str | None = None) -> Answer:
    """The cause of a transform that waits for these files."""
    many = "1 file is new or has changed." if len(files) == 1 else f"{len(files)} files are new or have changed."
    return {"kind": "FILES_CHANGED", "files": list(files), "message": message or many}


async def claim(**given: Any) -> Answer:
    """The transform that a worker gets."""
    payload = await do(CLAIM, worker="worker-1", kinds=["TRANSFORM"], **given)
    assert payload["userErrors"] == []
    claimed: Answer = payload["activity"]
    return claimed


async def test_a_new_file_makes_a_transform_of_the_resources_present_code_due() -> None:
    await watch("births", IN)

    (due,) = await report(a_file())

    (transform,) = (await state())["births"]["transforms"]["nodes"]
    assert due == {
        "id": transform["id"],
        "status": "READY",
        "resource": {"title": "births"},
        "cause": files_changed("gs://bucket/in/a.csv"),
    }
    assert transform["code"] == [{"path": "main.py", "commit": COMMIT}]
    assert (await state())["births"]["revision"] == 1
    assert await pending() == [1]


async def test_files_from_before_their_directory_was_watched_are_noted_and_make_nothing_due() -> None:
    await watch("births", IN)

    assert await report(a_file("a.csv", at=BEFORE), a_file("b.csv", at=WATCHED_SINCE)) == []
    assert await pending() == [0]
    (due,) = await report(a_file("a.csv", 6), a_file("b.csv", at=WATCHED_SINCE))

    assert due["cause"] == files_changed("gs://bucket/in/a.csv")
    assert await pending() == [1]


async def test_a_directory_is_watched_from_the_moment_that_a_resource_names_it() -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    ingested = await ingest(codeRepo=code_repo(monitorDirs=[IN]))
    after = datetime.now(UTC)
    started = "{ resources { nodes { createdAt codeRepo { monitorDirs { watchedSince lastSeenAt } } } } }"
    (resource,) = (await ask(started))["resources"]["nodes"]
    (directory,) = resource["codeRepo"]["monitorDirs"]
    assert before <= when(directory["watchedSince"]) <= after
    assert before <= when(resource["createdAt"]) <= after
    assert directory["lastSeenAt"] is None
    just_now = when(directory["watchedSince"])

    assert await report(a_file("old.csv", at=just_now)) == []
    (due,) = await report(a_file("new.csv", at=just_now + timedelta(milliseconds=1)))
    await ingest(codeRepo=code_repo(monitorDirs=["gs://BUCKET/in"]))

    assert due["cause"] == files_changed("gs://bucket/in/new.csv")
    (kept,) = (await ask(started))["resources"]["nodes"]
    assert kept["codeRepo"]["monitorDirs"][0]["watchedSince"] == directory["watchedSince"]
    assert ingested["userErrors"] == []


def when(text: str) -> datetime:
    """The time that an answer gives."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


async def test_the_first_report_without_times_is_what_was_there_and_later_ones_are_news() -> None:
    await watch("births", IN)

    assert await report(a_file("a.csv", at=None), a_file("b.csv", at=None), a_file("timed.csv")) == []
    assert await pending() == [0]
    (due,) = await report(a_file("a.csv", at=None), a_file("b.csv", 6, at=None), a_file("c.csv", at=None))

    assert due["cause"] == files_changed("gs://bucket/in/b.csv", "gs://bucket/in/c.csv")
    assert await pending() == [2]


async def test_what_one_resource_knows_long_since_is_still_the_first_report_of_anothers_directory() -> None:
    await watch("births", IN)
    await report(a_file("a.csv", at=None))
    await watch("deaths", IN)

    assert await report(a_file("a.csv", at=None)) == []
    due = await report(a_file("b.csv", at=None))

    assert [one["resource"]["title"] for one in due] == ["births", "deaths"]


async def test_the_same_file_and_generation_again_does_nothing_at_all() -> None:
    await watch("births", IN)
    await report(a_file())
    before = await everything_kept()

    again = [await report(a_file()) for _ in range(3)]
    again.append(await report(a_file(at=None), a_file(), a_file(below="https://storage.googleapis.com/bucket/in/")))

    assert again == [[], [], [], []]
    assert await everything_kept() == before


@pytest.mark.parametrize(
    ("first", "second", "news"),
    [
        (("9", 1), ("10", 1), True),
        (("10", 1), ("9", 2), False),
        (("7", 1), ("007", 2), False),
        (("abc", 1), ("abd", 2), True),
        (("abd", 1), ("abc", 1), True),
        (("abc", 2), ("abd", 1), False),
        (("abc", 1), ("9", 2), True),
        (("abc", 1), ("abc", 2), False),
    ],
)
async def test_whole_numbers_are_counted_and_other_generations_go_by_time(
    first: tuple[str, int], second: tuple[str, int], news: bool
) -> None:
    resource = await watch("births", IN)
    events = [a_file(generation=name, at=WATCHED_SINCE + timedelta(hours=hours)) for name, hours in (first, second)]
    await report(events[0])
    assert resource.id

    assert bool(await report(events[1])) is news
    seen = await documents.SeenFile.find({}).to_list()

    assert [one.generation for one in seen] == [second[0] if news else first[0]]


async def test_a_clock_that_is_ahead_outdates_nothing_that_follows() -> None:
    await watch("births", IN)
    await report(a_file(generation="abc", at=datetime(2999, 1, 1, tzinfo=UTC)))

    due = await report(a_file(generation="abd", at=datetime.now(UTC)))

    assert len(due) == 1


async def test_many_files_in_many_reports_make_one_run() -> None:
    await watch("births", IN)

    due = [await report(a_file(f"{n}.csv"), a_file(f"sub/{n}.csv")) for n in range(3)]

    assert len({one["id"] for (one,) in due}) == 1
    names = [f"gs://bucket/in/{below}{n}.csv" for n in range(3) for below in ("", "sub/")]
    assert await causes() == [files_changed(*names)]
    assert await pending() == [6]


async def test_files_join_a_transform_that_somebody_asked_for() -> None:
    resource = await watch("births", IN)
    asked = await do(REQUEST, resourceId=resource.id, message="Please.")

    (due,) = await report(a_file())

    assert due["id"] == asked["transform"]["id"]
    assert await causes() == [{"kind": "REQUESTED", "files": ["gs://bucket/in/a.csv"], "message": "Please."}]


async def test_a_file_that_changes_while_a_transform_runs_makes_another_one_wait() -> None:
    await watch("births", IN)
    (first,) = await report(a_file())
    assert (await claim())["id"] == first["id"]
    assert await pending() == [0]

    (second,) = await report(a_file(generation=6))
    assert await report(a_file(generation=5), a_file(generation=6)) == []

    assert first["id"] != second["id"]
    statuses = [transform["status"] for transform in (await state())["births"]["transforms"]["nodes"]]
    assert statuses == ["RUNNING", "READY"]
    assert await causes() == [files_changed("gs://bucket/in/a.csv")] * 2
    assert await pending() == [1]


async def test_what_expired_and_is_taken_over_leaves_later_files_to_the_one_that_waits(clock: Clock) -> None:
    await watch("births", IN)
    (first,) = await report(a_file())
    await claim(leaseSeconds=60)
    (second,) = await report(a_file(generation=6))

    clock.forward(61)
    taken_over = await claim(leaseSeconds=60)

    assert taken_over == {"id": first["id"], "attempt": 2}
    assert await pending() == [1]
    clock.forward(61)
    await sweep()
    # An activity whose lease expired twice waits for a minute.
    clock.forward(61)
    assert (await claim())["attempt"] == 3
    assert await pending() == [1]
    assert second["id"] != first["id"]


async def test_a_file_reported_while_its_transform_is_claimed_is_in_that_run_or_makes_another() -> None:
    resource = await watch("births", IN)
    for generation in range(5, 25):
        await report(a_file("first.csv", generation=generation))

        claimed, (due,) = await asyncio.gather(claim(), report(a_file("other.csv", generation=generation)))

        taken = due["id"] == claimed["id"]
        assert await pending() == [0 if taken else 1]
        await documents.Transform.get_pymongo_collection().delete_many({"resourceRef": resource.id})
        await in_transaction(lambda session: clear_pending_files(resource.id, session))


async def test_a_file_that_changes_twice_before_a_run_is_pending_once() -> None:
    await watch("births", IN)

    due = [await report(a_file(generation=generation)) for generation in (5, 6, 7)]

    assert [len(one) for one in due] == [1, 1, 1]
    assert await causes() == [files_changed("gs://bucket/in/a.csv")]
    assert await pending() == [1]


async def test_two_resources_that_watch_one_directory_are_both_due() -> None:
    await watch("births", IN)
    await watch("deaths", "GS://Bucket/in")
    await watch("later", IN, since=AFTER)
    await watch("marriages", "gs://bucket/out/")

    due = await report(a_file())

    assert sorted(one["resource"]["title"] for one in due) == ["births", "deaths"]
    assert [await pending(title) for title in ("births", "deaths", "later", "marriages")] == [[1], [1], [0], [0]]


async def test_directories_within_each_other_each_count_a_file_that_makes_one_run() -> None:
    await watch("births", IN, "gs://bucket/in/sub", "gs://bucket")

    (due,) = await report(a_file("sub/a.csv"), a_file("b.csv"))

    assert due["cause"] == files_changed("gs://bucket/in/sub/a.csv", "gs://bucket/in/b.csv")
    assert await pending() == [2, 1, 2]


async def test_one_directory_in_two_spellings_is_watched_once() -> None:
    await ingest(codeRepo=code_repo(monitorDirs=["gs://bucket/in", "gs://bucket/out", IN]))

    (resource,) = (await state()).values()

    assert [one["url"] for one in resource["codeRepo"]["monitorDirs"]] == ["gs://bucket/in", "gs://bucket/out"]


@pytest.mark.parametrize(
    "url",
    [
        "gs://bucket/in",
        "gs://bucket/in/",
        "gs://bucket/in/sub/",
        "gs://bucket/in2/a.csv",
        "gs://bucket/inner.csv",
        "gs://bucket/IN/a.csv",
        "gs://bucket2/in/a.csv",
        "https://bucket/in/a.csv",
        "https://files.example/in/../a.csv",
        "https://files.example/in%2Fa.csv",
        "urn:example:in/a.csv",
    ],
)
async def test_what_is_not_below_a_directory_is_not_its_file(url: str) -> None:
    await watch("births", IN, "https://files.example/in")
    before = await everything_kept()

    assert await report({"url": url, "generation": "5"}) == []
    assert await everything_kept() == before


@pytest.mark.parametrize(
    ("watched", "url"),
    [
        ("gs://bucket/in", "gs://bucket/in/a.csv"),
        ("gs://bucket", "gs://bucket/in/a.csv"),
        ("https://storage.googleapis.com/bucket/in/", "gs://bucket/in/a.csv"),
        ("gs://bucket/in/", "https://storage.googleapis.com/bucket/in/a.csv?X-Goog-Signature=1"),
        ("gs://bucket/my files", "https://storage.googleapis.com/bucket/my%20files/a.csv"),
        ("gs://bucket/größe", "https://storage.googleapis.com/bucket/gr%c3%b6%C3%9Fe/a.csv"),
        ("gs://bucket/c#/", "gs://bucket/c#/a.csv"),
        ("gs://bucket/c?", "https://www.googleapis.com/storage/v1/b/bucket/o/c%3F%2Fa.csv"),
        ("gs://bucket/in", "https://storage.googleapis.com/download/storage/v1/b/bucket/o/in%2Fa.csv?alt=media"),
        ("https://www.googleapis.com/storage/v1/b/bucket", "gs://bucket/in/a.csv"),
        ("HTTPS://Files.Example:443/in", "https://files.example/in/a.csv?version=2"),
        ("https://files.example/in?ref=main", "https://files.example/in/a.csv?ref=main"),
    ],
)
async def test_spellings_of_a_url_do_not_matter(watched: str, url: str) -> None:
    await watch("births", watched)

    assert len(await report({"url": url, "generation": "5", "updatedAt": AFTER.isoformat()})) == 1


async def test_one_report_tells_of_a_file_more_than_once() -> None:
    await watch("births", IN)

    (due,) = await report(a_file(generation=6), a_file(generation=5), a_file(generation=7), a_file("b.csv", at=BEFORE))

    assert due["cause"] == files_changed("gs://bucket/in/a.csv")
    assert {one.url: one.generation for one in await documents.SeenFile.find({}).to_list()} == {
        "gs://bucket/in/a.csv": "7",
        "gs://bucket/in/b.csv": "5",
    }


async def test_a_cause_names_a_thousand_files_and_counts_the_others() -> None:
    await watch("births", IN)
    await report(*(a_file(f"{n}.csv") for n in range(MAX_REPORTED_FILES)))

    await report(a_file("more.csv"), a_file("0.csv", 6))
    await report(a_file("more.csv", 6), a_file("still more.csv"))

    (cause,) = await causes()
    assert cause is not None
    assert cause["files"] == [f"gs://bucket/in/{n}.csv" for n in range(MAX_REPORTED_FILES)]
    assert cause["message"] == "1,002 files are new or have changed. The first 1,000 are named."
    assert await pending() == [1002]


async def test_a_file_beyond_the_thousandth_is_counted_once_however_often_it_changes() -> None:
    await watch("births", IN)
    await report(*(a_file(f"{n}.csv") for n in range(MAX_REPORTED_FILES)))
    await report(a_file("more.csv"))
    # A second directory holds these files too. It is watched only now, so none of them is pending there.
    second = MonitorDir(url="gs://bucket", watched_since=AFTER)
    await documents.Resource.find({}).update_many(
        {"$push": {"code_repo.monitor_dirs": second.model_dump(by_alias=True)}}
    )

    await report(a_file("more.csv", 6, AFTER + timedelta(days=1)))

    (cause,) = await causes()
    assert cause is not None
    assert cause["message"] == "1,001 files are new or have changed. The first 1,000 are named."
    assert await pending() == [1001, 1]


ODD: list[Answer] = [
    {"url": "in/a.csv", "generation": "5"},
    a_file("b.csv", " "),
    a_file("c.csv") | {"sizeBytes": "-1"},
    a_file("d.csv") | {"sha256": "abc"},
    {"url": f"{IN}{'ö' * 600}", "generation": "5"},
    a_file("a\u00a0b.csv"),
    a_file("a\tb.csv"),
    a_file("b.csv\n"),
    a_file("%09.csv", below="https://storage.googleapis.com/bucket/in/"),
    a_file("a\u00a0b.csv", below="https://files.example/in/"),
    {"url": "gs:///a.csv", "generation": "5"},
]
REFUSED = ["url", "generation", "sizeBytes", "sha256", *["url"] * 7]


async def test_everything_that_is_wrong_with_a_report_is_told_and_nothing_is_recorded() -> None:
    await watch("births", IN)
    before = await everything_kept()

    payload = await do(REPORT, files=ODD)

    assert payload["due"] == []
    assert [(error["code"], error["path"]) for error in payload["userErrors"]] == [
        ("VALIDATION", ["input", "files", str(number), field]) for number, field in enumerate(REFUSED)
    ]
    assert payload["userErrors"][5]["message"] == (
        r"url 'gs://bucket/in/a\xa0b.csv' holds '\xa0', which file names must not."
    )
    assert await everything_kept() == before


async def test_files_that_cannot_be_taken_are_named_and_the_others_recorded() -> None:
    await watch("births", IN)
    good = [a_file(f"{number}.csv") for number in range(MAX_REPORTED_FILES - len(ODD))]
    files = [*good[:500], *ODD, *good[500:]]

    payload, again = [await do(REPORT, files=files, idempotencyKey="k") for _ in range(2)]

    assert [error["path"][2:] for error in payload["userErrors"]] == [
        [str(500 + number), field] for number, field in enumerate(REFUSED)
    ]
    assert {error["__typename"] for error in payload["userErrors"]} == {"InvalidInput"}
    (due,) = payload["due"]
    assert due["cause"]["message"] == f"{len(good)} files are new or have changed."
    assert await pending() == [len(good)]
    assert again == payload


async def test_names_of_objects_are_taken_as_they_are() -> None:
    names = [
        "part#1.csv",
        "part#2.csv",
        "what?a=b.csv",
        "what?token=c.csv",
        "50%.csv",
        "a%20b.csv",
        "a b.csv",
        "ö.csv ",
    ]
    await watch("births", IN)

    (due,) = await report(*(a_file(name) for name in names))

    assert due["cause"] == files_changed(*(f"{IN}{name}" for name in names))
    assert await pending() == [len(names)]


async def test_nothing_that_lets_in_is_stored(database: Database) -> None:
    secrets = "X-Goog-Signature=SECRET&X-Amz-Signature=SECRET&sig=SECRET&Signature=SECRET&token=SECRET"
    watched = ["gs://me:SECRET@bucket/in", f"https://me:SECRET@files.example/in?{secrets}&v=1"]
    await ingest(codeRepo=code_repo(url="https://ci:SECRET@code.example/family", monitorDirs=watched), logs=watched[1])

    await report(
        {"url": f"https://me:SECRET@files.example/in/a.csv?v=1&{secrets}", "generation": "1"},
        {"url": f"https://storage.googleapis.com/bucket/in/a.csv?{secrets}", "generation": "2"},
    )
    due = await report({"url": f"https://you@files.example/in/b.csv?v=1&{secrets}", "generation": "1"})
    refused = await do(
        REPORT,
        idempotencyKey="k",
        files=[a_file("c.csv"), {"url": f"https://me:SECRET@files.example/\u00a0?{secrets}", "generation": "1"}],
    )

    assert [one["cause"]["files"] for one in due] == [["https://files.example/in/b.csv?v=1"]]
    assert len(refused["userErrors"]) == 1
    (resource,) = (await ask("{ resources { nodes { codeRepo { url monitorDirs { url } } } } }"))["resources"]["nodes"]
    assert resource["codeRepo"] == {
        "url": "https://code.example/family",
        "monitorDirs": [{"url": "gs://bucket/in"}, {"url": "https://files.example/in?v=1"}],
    }
    kept = [await database[name].find({}).to_list() for name in await database.list_collection_names()]
    assert "SECRET" not in str(kept)


async def test_more_files_than_are_taken_are_refused() -> None:
    payload = await do(REPORT, files=[a_file(f"{n}.csv") for n in range(MAX_REPORTED_FILES + 1)])

    (error,) = payload["userErrors"]
    assert (error["code"], error["path"]) == ("LIMIT_EXCEEDED", ["input", "files"])


async def test_who_reports_nothing_else_reports_no_files() -> None:
    await watch("births", IN)
    before = await everything_kept()

    refused = await do(REPORT, STRANGER, files=[a_file()])
    assert await everything_kept() == before
    taken = await do(REPORT, ADMIN, files=[a_file()])

    assert [error["code"] for error in refused["userErrors"]] == ["FORBIDDEN"]
    assert (len(taken["due"]), taken["userErrors"]) == (1, [])


async def test_reports_at_the_same_moment_count_a_file_once(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    resource = await watch("births", IN, "gs://bucket/")
    await watch("deaths", IN)
    files = [a_file(f"{n}.csv") for n in range(5)]

    # Locks are those of one process; the database isolates reports of several.
    monkeypatch.setattr(file_event, "require_lock", AsyncMock())
    due = await asyncio.gather(*(reported_elsewhere(files) for _ in range(8)), do(REQUEST, resourceId=resource.id))

    assert sorted(len(one) for one in due[:-1]) == [0] * 7 + [2]
    assert await database.transforms.count_documents({"status": "READY"}) == 2
    assert [await pending(title) for title in ("births", "deaths")] == [[5, 5], [5]]
    (cause,) = await causes()
    assert cause is not None
    assert sorted(cause["files"]) == [file["url"] for file in files]


async def test_a_transform_that_is_asked_for_while_files_are_recorded_is_the_one_that_waits(database: Database) -> None:
    resource = await watch("births", IN)
    tries = 0

    async def work(session: Session) -> Outcome:
        nonlocal tries
        tries += 1
        await database.transforms.find_one({}, session=session)
        if tries == 1:
            await do(REQUEST, resourceId=resource.id)
        return await report_files(
            session, WORKER, files=[{"url": f"{IN}a.csv", "generation": "5", "updated_at": AFTER}]
        )

    (due,) = (await run_idempotent(WORKER, "reportFiles", {}, None, work))["due"]

    assert (tries, due["cause"]["kind"]) == (2, "REQUESTED")
    assert await causes() == [{"kind": "REQUESTED", "files": ["gs://bucket/in/a.csv"], "message": None}]


async def reported_elsewhere(files: list[Answer]) -> list[Any]:
    """A report as another process makes it."""
    given = [FileReport(url=file["url"], generation=file["generation"], updated_at=AFTER) for file in files]
    outcome = await run_idempotent(
        WORKER, "reportFiles", {}, None, lambda session: report_files(session, WORKER, files=given)
    )
    due: list[Any] = outcome["due"]
    return due


async def test_watchers_are_found_by_an_index_however_many_there_are(database: Database) -> None:
    await watch("births", IN)
    others = [
        documents.Resource(
            organisation_ref="organisation_0",
            code_repo=CodeRepo(monitor_dirs=[MonitorDir(url=f"gs://other/{n}/{m}") for m in range(2)]),
        )
        for n in range(5_000)
    ]
    await keep(*others)
    asked = {"code_repo.monitor_dirs.prefix": {"$in": [IN, "gs://bucket/"]}}

    plan = await database.command({"explain": {"find": "resources", "filter": asked}, "verbosity": "executionStats"})
    due = await report(a_file())

    assert "COLLSCAN" not in str(plan["queryPlanner"]["winningPlan"])
    assert plan["executionStats"]["totalDocsExamined"] == 1
    assert len(due) == 1


async def test_deep_files_in_many_directories_are_taken() -> None:
    await watch("births", IN)
    deep = [a_file("/".join([str(n), *"abcdefgh", "a.csv"])) for n in range(500)]
    assert MAX_DIRECTORIES_IN_FIND < 500 * 8

    (due,) = await report(*deep)

    assert due["cause"]["message"] == "500 files are new or have changed."


generations = st.integers(1, 4)
deliveries = st.lists(
    st.tuples(st.sampled_from(["a.csv", "sub/b.csv", "sub/c.csv"]), generations), min_size=1, max_size=10
)


@pytest.mark.timeout(within(600))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(told=deliveries, order=st.randoms(use_true_random=False), size=st.integers(1, 4))
async def test_deliveries_in_any_order_and_number_end_as_those_in_order(
    database: Database, told: list[tuple[str, int]], order: Any, size: int
) -> None:
    in_order = sorted(set(told), key=lambda one: (one[1], one[0]))
    repeated = told + [told[order.randrange(len(told))] for _ in range(3)]
    order.shuffle(repeated)

    expected = await outcome_of(database, in_order, 1)
    found = await outcome_of(database, repeated, size)

    assert found == expected


async def outcome_of(database: Database, told: list[tuple[str, int]], size: int) -> Answer:
    """The state after these deliveries in batches of `size`; generation 1 is older than some directories."""
    for name in ("resources", "transforms", "seen_files"):
        await database[name].delete_many({})
    await watch("both", IN, "gs://bucket/in/sub")
    await watch("late", "gs://bucket/in/sub", since=at_generation(2))
    await watch("early", "gs://bucket", since=BEFORE - timedelta(days=9))
    for start in range(0, len(told), size):
        await report(*(a_file(name, number, at_generation(number)) for name, number in told[start : start + size]))
    shown = await state()
    seen = await documents.SeenFile.find({}).to_list()
    transforms = await database.transforms.find({}, {"cause": 1}).to_list()
    return {
        "seen": sorted((one.url, one.generation) for one in seen),
        "states": sorted(states_of(one["cause"]) for one in transforms),
        "pending": {title: [one["pendingFiles"] for one in shown[title]["codeRepo"]["monitorDirs"]] for title in shown},
        "causes": {title: [sorted_cause(one) for one in shown[title]["transforms"]["nodes"]] for title in shown},
    }


def states_of(cause: Answer) -> list[tuple[str, str]]:
    """Each file of a stored cause with its generation."""
    return sorted((url, state["generation"]) for url, state in zip(cause["files"], cause["states"], strict=True))


def at_generation(number: int) -> datetime:
    """The creation time of a file's generation: the first is older than WATCHED_SINCE."""
    return BEFORE + timedelta(hours=30 * (number - 1))


def sorted_cause(transform: Answer) -> Answer:
    """The status and cause of a transform; the order of files is that of their arrival."""
    cause = transform["cause"]
    return {"status": transform["status"], **cause, "files": sorted(cause["files"])}
