"""Registering outputs, and who may read them."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import documents
from documents.activities.activity import ActivityStatus
from documents.mongo.database import Database
from resolvers.access.viewer import ANONYMOUS, Role, Viewer
from resolvers.twins import output as output_module
from tests.conftest import RoundTrips
from tests.resolvers.activities.test_claim import profiled
from tests.support.asking import ADMIN, ask, by_reference, refusal, without_comparison
from tests.support.builders import a_user, an_output, everything_kept, keep
from tests.support.clock import Clock
from tests.support.runs import a_dag, a_worker, claim
from tests.support.storage import Place
from tests.support.uploading import a_running_step, refusal_of, register, share, upload_bytes

pytestmark = pytest.mark.usefixtures("database")

WORKER = Viewer(Role.WORKER, token_id="token_worker")
ELSEWHERE = {"bucket": "another-bucket", "key": "runs/1/data.csv"}
URL = (
    "query ($id: ID!, $for: Int) { node(id: $id) { ... on Output { downloadUrl(expiresIn: $for) { url expiresAt } } } }"
)


async def download(viewer: Viewer, id: str, seconds: int | None = 900) -> Any:
    """The output's downloadUrl, None without one; "hidden" when the output is not there for the viewer."""
    with without_comparison():
        found = (await ask(URL, viewer, id=id, **{"for": seconds}))["node"]
    return found["downloadUrl"] if found else "hidden"


async def registered(
    place: Place, viewer: Viewer, step: documents.Step, content: bytes = b"a,b\n", **fields: Any
) -> Any:
    """An output of uploaded bytes."""
    payload = await register(viewer, step, uploadId=await upload_bytes(place, viewer, content), **fields)
    assert payload["userErrors"] == []
    return payload["output"]


async def test_the_owner_a_worker_that_runs_it_and_an_administrator_register_outputs() -> None:
    owner = a_user()
    step = await a_running_step(owner, WORKER.key)

    for number, viewer in enumerate([Viewer(Role.USER, owner.id), WORKER, ADMIN]):
        payload = await register(viewer, step, fileName=str(number), fileSize=5, metadata={"rows": 1}, **ELSEWHERE)
        assert payload["userErrors"] == []
        shown = payload["output"]
        assert (shown["fileSize"], shown["metadata"], shown["attempt"]) == ("5", {"rows": 1}, 1)
        assert (shown["bucket"], shown["key"], shown["sha256"]) == (*ELSEWHERE.values(), None)
        assert shown["downloadUrl"] is None


async def test_others_register_nothing() -> None:
    stranger = a_user()
    await keep(stranger)
    private, public = await a_running_step(a_user()), await a_running_step(a_user(), public=True)
    before = await everything_kept()

    someone = Viewer(Role.USER, stranger.id)
    for viewer, step, code in [
        (ANONYMOUS, private, "FORBIDDEN"),
        (ANONYMOUS, public, "FORBIDDEN"),
        (someone, private, "NOT_FOUND"),
        (someone, public, "FORBIDDEN"),
        (WORKER, private, "NOT_FOUND"),
        (WORKER, public, "INVALID_STATE"),
    ]:
        assert refusal_of(await register(viewer, step, **ELSEWHERE))[0] == code

    assert await everything_kept() == before


@pytest.mark.parametrize("status", [one for one in ActivityStatus if one is not ActivityStatus.RUNNING])
async def test_a_step_that_does_not_run_takes_no_outputs(status: ActivityStatus) -> None:
    step = await a_running_step(a_user(), WORKER.key, status=status)

    payload = await register(WORKER, step, **ELSEWHERE)

    assert refusal_of(payload) == ("INVALID_STATE", ["input", "stepId"])
    assert payload["userErrors"][0]["currentState"] == status.value
    assert payload["userErrors"][0]["allowedStates"] == ["RUNNING"]
    assert await documents.Output.count() == 0


async def test_a_late_output_of_an_old_attempt_is_refused() -> None:
    step = await a_running_step(a_user(), WORKER.key, attempt=2)

    assert refusal_of(await register(WORKER, step, attempt=1, **ELSEWHERE))[0] == "INVALID_STATE"
    assert (await register(WORKER, step, attempt=2, **ELSEWHERE))["output"]["attempt"] == 2


async def test_a_worker_says_the_attempt_when_its_token_held_an_earlier_one(clock: Clock) -> None:
    step = (await a_dag(a="")).steps["a"]
    await claim(WORKER)
    first = await register(WORKER, step, **ELSEWHERE)
    clock.forward(61)
    await claim(a_worker(2), "worker-2")
    second = await register(a_worker(2), step, **ELSEWHERE)
    clock.forward(121)
    await claim(WORKER)

    untold = await register(WORKER, step, **ELSEWHERE)
    old = await register(WORKER, step, attempt=1, **ELSEWHERE)
    third = await register(WORKER, step, attempt=3, **ELSEWHERE)

    assert [one["output"]["attempt"] for one in (first, second, third)] == [1, 2, 3]
    assert refusal_of(untold) == ("VALIDATION", ["input", "attempt"])
    assert refusal_of(old) == ("INVALID_STATE", ["input", "stepId"])
    assert await documents.Output.count() == 3


async def test_a_worker_registers_only_while_it_holds_the_step(clock: Clock) -> None:
    other = a_worker(2)
    step = await a_running_step(owner := a_user(), WORKER.key, other.key, worker="worker-1")

    by_another = await register(other, step, fileName="1", **ELSEWHERE)
    held = await register(WORKER, step, fileName="2", **ELSEWHERE)
    clock.forward(3601)
    expired = await register(WORKER, step, fileName="3", **ELSEWHERE)
    by_its_owner = await register(Viewer(Role.USER, owner.id), step, fileName="4", **ELSEWHERE)

    assert (held["userErrors"], by_its_owner["userErrors"]) == ([], [])
    assert [refusal_of(one) for one in (by_another, expired)] == [("INVALID_STATE", ["input", "stepId"])] * 2
    (told,), (ended,) = by_another["userErrors"], expired["userErrors"]
    assert told["message"].startswith(
        f"{step.id} is RUNNING at attempt 1, which worker-1 holds; only its worker or owner may add"
    )
    assert (told["currentState"], ended["currentState"], ended["allowedStates"]) == ("RUNNING", "READY", ["RUNNING"])
    assert sorted(output.file_name for output in await documents.Output.find_all().to_list()) == ["2", "4"]


async def test_a_step_that_ends_at_the_same_time_keeps_only_what_came_before_its_end() -> None:
    for _ in range(10):
        step = await a_running_step(a_user(), WORKER.key)
        steps = documents.Step.get_pymongo_collection()

        payload, _ended = await asyncio.gather(
            register(WORKER, step, **ELSEWHERE),
            steps.update_one({"_id": step.id}, [{"$set": {"status": "SUCCEEDED", "seen": "$reports"}}]),
        )

        ended = await steps.find_one({"_id": step.id})
        assert ended
        assert bool(ended.get("seen")) is (payload["output"] is not None)


async def test_the_same_file_again_is_the_output_that_there_is(place: Place) -> None:
    step = await a_running_step(a_user(), WORKER.key)
    first = await registered(place, WORKER, step)

    again = await registered(place, WORKER, step)
    other = await register(WORKER, step, uploadId=await upload_bytes(place, WORKER, b"other"))
    elsewhere = await register(WORKER, step, **ELSEWHERE)
    snapshot = await registered(place, WORKER, step, type="SNAPSHOT")

    assert again["id"] == first["id"]
    assert refusal_of(other) == refusal_of(elsewhere) == ("ALREADY_EXISTS", ["input", "fileName"])
    assert snapshot["id"] != first["id"]
    assert await documents.Output.count() == 2


@pytest.mark.parametrize(
    ("first", "second"),
    [("x", "x/y"), ("x/y", "x"), ("a/b", "a/b/c/d"), ("a/b/c/d", "a"), ("\N{SNOWMAN}/1", "\N{SNOWMAN}")],
)
async def test_a_file_and_a_folder_of_one_name_are_not_both_outputs(first: str, second: str) -> None:
    step = await a_running_step(a_user(), WORKER.key)
    kept = await register(WORKER, step, fileName=first, **ELSEWHERE)

    payload = await register(WORKER, step, fileName=second, **ELSEWHERE)

    assert (kept["userErrors"], refusal_of(payload)) == ([], ("ALREADY_EXISTS", ["input", "fileName"]))
    assert f"{second} cannot be a file beside {first}" in payload["userErrors"][0]["message"]
    assert await documents.Output.count() == 1


async def test_of_a_file_and_a_folder_registered_at_once_one_is_kept() -> None:
    step = await a_running_step(a_user(), WORKER.key)
    names = [name for number in range(8) for name in (f"{number}", f"{number}/y")]

    payloads = await asyncio.gather(*(register(WORKER, step, fileName=name, **ELSEWHERE) for name in names))

    kept = [name[0] for name, one in zip(names, payloads, strict=True) if one["output"]]
    assert kept == [str(number) for number in range(8)]
    assert [refusal_of(one) for one in payloads if not one["output"]] == [("ALREADY_EXISTS", ["input", "fileName"])] * 8
    assert await documents.Output.count() == 8


async def test_names_are_compared_by_an_index_however_many_there_are(database: Database) -> None:
    step = await a_running_step(a_user(), WORKER.key)
    await keep(*(an_output(step, attempt=1, file_name=f"d/{number}") for number in range(500)))

    async with profiled(database) as operations:
        kept = await register(WORKER, step, fileName="d/e/f", **ELSEWHERE)
        payload = await register(WORKER, step, fileName="d", **ELSEWHERE)

    looks = [one for one in operations if one["op"] == "query" and one["ns"].endswith(".outputs")]
    assert (kept["userErrors"], refusal_of(payload)) == ([], ("ALREADY_EXISTS", ["input", "fileName"]))
    assert len(looks) >= 4
    assert max(one["docsExamined"] for one in looks) <= 1
    assert max(one["keysExamined"] for one in looks) <= 10


async def test_names_that_only_look_alike_are_outputs_side_by_side() -> None:
    step = await a_running_step(a_user(), WORKER.key)
    names = ["x", "x.y", "x0/y", "xy", "y/x", "x-y/z", "y/z/x"]

    payloads = [await register(WORKER, step, fileName=name, **ELSEWHERE) for name in names]
    picture = await register(WORKER, step, fileName="x/y", type="SNAPSHOT", **ELSEWHERE)

    assert [payload["userErrors"] for payload in [*payloads, picture]] == [[]] * 8


PART = "\N{JIGSAW PUZZLE PIECE}" * 63


@pytest.mark.parametrize(
    ("name", "taken"),
    [
        ("a" * 255, True),
        ("a" * 256, False),
        ("d/" + "é" * 128, False),
        ("/".join([PART] * 12), True),
        ("/".join([PART] * 13), False),
    ],
)
async def test_a_name_that_no_file_system_takes_is_no_outputs(name: str, taken: bool) -> None:
    step = await a_running_step(a_user(), WORKER.key)

    payload = await register(WORKER, step, fileName=name, **ELSEWHERE)

    assert [error["code"] for error in payload["userErrors"]] == ([] if taken else ["VALIDATION"])
    assert await documents.Output.count() == (1 if taken else 0)


async def test_each_attempt_keeps_its_own_files(place: Place) -> None:
    step = await a_running_step(a_user(), WORKER.key)
    first = await registered(place, WORKER, step, b"first")
    await documents.Step.get_pymongo_collection().update_one({"_id": step.id}, {"$set": {"attempt": 2}})
    second = await registered(place, WORKER, step, b"second")

    assert [first["attempt"], second["attempt"]] == [1, 2]
    assert await documents.Output.count() == 2


async def test_the_same_key_answers_the_same_output_whatever_happened_since(place: Place) -> None:
    step = await a_running_step(a_user(), WORKER.key)
    id = await upload_bytes(place, WORKER)
    first = await register(WORKER, step, uploadId=id, idempotencyKey="once")
    await documents.Step.get_pymongo_collection().update_one({"_id": step.id}, {"$set": {"status": "SUCCEEDED"}})

    again = await register(WORKER, step, uploadId=id, idempotencyKey="once")

    assert again["userErrors"] == []
    assert again["output"]["id"] == first["output"]["id"]


async def test_one_upload_becomes_one_output(place: Place) -> None:
    step = await a_running_step(a_user(), WORKER.key)
    id = await upload_bytes(place, WORKER)

    payloads = await asyncio.gather(*(register(WORKER, step, fileName=f"{n}.csv", uploadId=id) for n in range(6)))

    assert len([one for one in payloads if one["output"]]) == 1
    assert {refusal_of(one)[0] for one in payloads if not one["output"]} == {"INVALID_STATE"}
    assert await documents.Output.count() == 1


async def test_twenty_files_registered_at_once_are_all_there() -> None:
    step = await a_running_step(a_user(), WORKER.key)

    payloads = await asyncio.gather(*(register(WORKER, step, fileName=f"{n % 10}", **ELSEWHERE) for n in range(20)))

    assert all(one["output"] for one in payloads)
    assert await documents.Output.count() == 10


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({}, "uploadId"),
        ({"bucket": "a"}, "uploadId"),
        ({"key": "a"}, "uploadId"),
        ({"uploadId": None, "bucket": "a"}, "uploadId"),
        ({"bucket": "a", "key": ""}, "key"),
        ({"bucket": " ", "key": "a"}, "bucket"),
        ({"bucket": "a", "key": "a\0"}, "key"),
        ({"bucket": "a", "key": "é" * 513}, "key"),
        ({**ELSEWHERE, "fileSize": -1}, "fileSize"),
        ({**ELSEWHERE, "fileName": "../x"}, "fileName"),
        ({**ELSEWHERE, "fileType": "csv"}, "fileType"),
    ],
)
async def test_where_the_bytes_lie_is_said_in_one_way(given: dict[str, Any], path: str) -> None:
    step = await a_running_step(a_user(), WORKER.key)

    assert refusal_of(await register(WORKER, step, **given)) == ("VALIDATION", ["input", path])
    assert await documents.Output.count() == 0


async def test_an_upload_is_not_said_to_lie_elsewhere_or_to_have_another_size(place: Place) -> None:
    step = await a_running_step(a_user(), WORKER.key)
    id = await upload_bytes(place, WORKER)

    (elsewhere,) = (await register(WORKER, step, uploadId=id, **ELSEWHERE))["userErrors"]
    (resized,) = (await register(WORKER, step, uploadId=id, fileSize=5))["userErrors"]

    said = ("Give either uploadId, or bucket and key.", ["input", "uploadId"])
    assert (elsewhere["message"], elsewhere["path"]) == said
    said = (f"fileSize is 5, but {id} has 4 bytes.", ["input", "fileSize"])
    assert (resized["message"], resized["path"]) == said
    assert (await register(WORKER, step, uploadId=id, fileSize=4))["userErrors"] == []


async def test_naming_another_ones_object_leads_to_no_bytes(place: Place) -> None:
    mine, theirs = await a_running_step(a_user(), WORKER.key), await a_running_step(a_user())
    secret = await registered(place, ADMIN, theirs, b"secret")

    output = (await register(WORKER, mine, bucket=secret["bucket"], key=secret["key"]))["output"]

    assert output["downloadUrl"] is None
    assert await download(WORKER, output["id"]) is None
    assert await download(WORKER, secret["id"]) == "hidden"


async def test_revoking_access_makes_the_next_download_url_null(place: Place) -> None:
    owner, friend = a_user(), a_user()
    await keep(friend)
    me, reader = Viewer(Role.USER, owner.id), Viewer(Role.USER, friend.id)
    output = await registered(place, me, await a_running_step(owner))
    id = output["id"]

    assert await download(reader, id) == "hidden"
    await share(me, id, authorizeUserIds=[friend.id])
    url = (await download(reader, id))["url"]
    assert (await place.request("GET", url)).content == b"a,b\n"
    await share(me, id, revokeUserIds=[friend.id])
    assert await download(reader, id) == "hidden"
    await share(me, id, public=True)
    assert (await place.request("GET", (await download(ANONYMOUS, id))["url"])).content == b"a,b\n"
    await share(me, id, public=False)
    assert await download(ANONYMOUS, id) == "hidden"
    assert (await place.request("GET", (await download(me, id))["url"])).content == b"a,b\n"


async def test_who_registered_and_is_a_reader_no_longer_is_not_shown_the_output_again(place: Place) -> None:
    step = await a_running_step(a_user(), WORKER.key, public=True)
    given = {"uploadId": await upload_bytes(place, WORKER), "idempotencyKey": "once"}
    first = await register(WORKER, step, **given)
    for kind in (documents.Step, documents.Output):
        await kind.get_pymongo_collection().update_many({}, {"$set": {"runners": []}})

    again = await register(WORKER, step, **given)

    assert first["output"]["downloadUrl"] is not None
    assert again["output"] is None
    assert refusal_of(again) == ("NOT_FOUND", ["input", "idempotencyKey"])


@pytest.mark.parametrize("seconds", [1, 60, 3600, None])
async def test_a_download_url_lasts_as_long_as_asked(place: Place, seconds: int | None) -> None:
    output = await registered(place, ADMIN, await a_running_step(a_user()))
    before = datetime.now(UTC)

    expires = datetime.fromisoformat((await download(ADMIN, output["id"], seconds))["expiresAt"])

    after = datetime.now(UTC)
    wanted = timedelta(seconds=900 if seconds is None else seconds)
    assert before + wanted - timedelta(seconds=1) <= expires <= after + wanted + timedelta(seconds=1)


@pytest.mark.parametrize("seconds", [0, -1, 3601, 2**31 - 1])
async def test_no_download_url_lasts_longer_than_an_hour(place: Place, seconds: int) -> None:
    output = await registered(place, ADMIN, await a_running_step(a_user()))

    code, message = await refusal(URL, ADMIN, id=output["id"], **{"for": seconds})

    assert (code, message) == ("BAD_USER_INPUT", f"expiresIn must be between 1 and 3600 seconds, not {seconds}.")


async def test_plan_and_reference_give_urls_of_the_same_object(place: Place) -> None:
    step = await a_running_step(a_user())
    for number in range(3):
        await registered(place, ADMIN, step, str(number).encode(), fileName=f"{number}.csv")
    await register(ADMIN, step, fileName="elsewhere", **ELSEWHERE)
    query = """{ users { nodes { digitalTwins { nodes { executions { nodes { steps { nodes { outputs { nodes {
      id downloadUrl { url method headers } } } } } } } } } } } }"""

    with without_comparison():
        planned = _outputs(await ask(query, ADMIN))
    reference = _outputs((await by_reference(query, ADMIN))["data"])

    assert [one["id"] for one in planned] == [one["id"] for one in reference]
    for way in (planned, reference):
        found = [one["downloadUrl"] and (await place.request("GET", one["downloadUrl"]["url"])).content for one in way]
        assert found == [b"0", b"1", b"2", None]


def _outputs(data: Any) -> Any:
    for level in ("users", "digitalTwins", "executions", "steps"):
        (data,) = data[level]["nodes"]
    return data["outputs"]["nodes"]


async def test_download_urls_cost_no_round_trip(place: Place, round_trips: RoundTrips) -> None:
    step = await a_running_step(a_user())
    for number in range(3):
        await registered(place, ADMIN, step, str(number).encode(), fileName=str(number))

    with round_trips.counting() as seen:
        await ask(
            "query ($id: ID!) { node(id: $id) { ... on Step { outputs { nodes { downloadUrl { url } } } } } }",
            ADMIN,
            id=step.id,
        )

    assert seen == [("find", "steps"), ("find", "outputs")]


async def test_an_answer_holds_a_bounded_number_of_urls(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output_module, "MAX_DOWNLOAD_URLS", 2)
    step = await a_running_step(a_user())
    for number in range(3):
        await registered(place, ADMIN, step, str(number).encode(), fileName=str(number))
    query = """query ($id: ID!, $n: Int) { node(id: $id) { ... on Step { outputs(first: $n) { nodes {
      downloadUrl { method } } } } } }"""

    assert len((await ask(query, ADMIN, id=step.id, n=2))["node"]["outputs"]["nodes"]) == 2
    found = await by_reference(query, ADMIN, id=step.id, n=3)
    assert {error["extensions"]["code"] for error in found["errors"]} == {"LIMIT_EXCEEDED"}


async def test_only_the_owner_and_administrators_share_an_output(place: Place) -> None:
    owner, friend = a_user(), a_user()
    await keep(friend)
    step = await a_running_step(owner, WORKER.key)
    id = (await registered(place, WORKER, step, authorizedUserIds=[friend.id], public=False))["id"]
    before = await everything_kept()

    for viewer, code in [
        (ANONYMOUS, "FORBIDDEN"),
        (WORKER, "FORBIDDEN"),
        (Viewer(Role.USER, friend.id), "FORBIDDEN"),
        (Viewer(Role.USER, a_user().id), "NOT_FOUND"),
    ]:
        assert refusal_of(await share(viewer, id, public=True))[0] == code

    assert await everything_kept() == before
    assert (await share(Viewer(Role.USER, owner.id), id, public=True))["output"]["accessControl"]["public"] is True
    assert (await share(ADMIN, id, public=False))["output"]["accessControl"]["public"] is False


async def test_sharing_adds_and_takes_away_without_repeats() -> None:
    people = [a_user() for _ in range(3)]
    await keep(*people)
    step = await a_running_step(a_user())
    first, second, third = (one.id for one in people)
    output = (await register(ADMIN, step, authorizedUserIds=[first, first], **ELSEWHERE))["output"]

    shared = (await share(ADMIN, output["id"], authorizeUserIds=[second, first, third], revokeUserIds=[third]))[
        "output"
    ]
    unchanged = (await share(ADMIN, output["id"], revokeUserIds=["user_gone"], public=None))["output"]

    assert output["accessControl"]["authorizedUsers"] == [{"id": first}]
    assert shared["accessControl"] == unchanged["accessControl"]
    assert [one["id"] for one in shared["accessControl"]["authorizedUsers"]] == [first, second]
    assert [output["revision"], shared["revision"], unchanged["revision"]] == [1, 2, 2]


async def test_users_are_authorised_by_name_when_an_output_is_registered() -> None:
    ada, bob = a_user(display_name="ada"), a_user(display_name="bob")
    await keep(ada, bob)
    step = await a_running_step(a_user())
    people = {"authorizedUserIds": [bob.id], "authorizedUserNames": ["ada", "bob"]}

    output = (await register(ADMIN, step, **people, **ELSEWHERE))["output"]
    unknown = await register(ADMIN, step, fileName="b", authorizedUserNames=["Ada"], **ELSEWHERE)

    assert output["accessControl"]["authorizedUsers"] == [{"id": bob.id}, {"id": ada.id}]
    assert refusal_of(unknown) == ("NOT_FOUND", ["input", "authorizedUserNames", "0"])


async def test_nobody_who_does_not_exist_is_authorised() -> None:
    step = await a_running_step(a_user())
    output = (await register(ADMIN, step, **ELSEWHERE))["output"]

    assert refusal_of(await share(ADMIN, output["id"], authorizeUserIds=["user_none"])) == (
        "NOT_FOUND", ["input", "authorizeUserIds", "0"],
    )  # fmt: skip
    assert refusal_of(await register(ADMIN, step, fileName="b", authorizedUserIds=["user_none"], **ELSEWHERE)) == (
        "NOT_FOUND", ["input", "authorizedUserIds", "0"],
    )  # fmt: skip


async def test_of_two_who_share_at_the_same_revision_one_is_told_of_the_other() -> None:
    step = await a_running_step(a_user())
    output = (await register(ADMIN, step, **ELSEWHERE))["output"]

    payloads = await asyncio.gather(*(share(ADMIN, output["id"], expectedRevision=1, public=True) for _ in range(2)))

    (told,) = [one["userErrors"][0] for one in payloads if one["userErrors"]]
    assert (told["code"], told["expectedRevision"], told["currentRevision"]) == ("REVISION_CONFLICT", 1, 2)
    assert told["current"] == {"id": output["id"]}


async def test_concurrent_changes_of_access_are_all_kept() -> None:
    people = [a_user() for _ in range(8)]
    await keep(*people)
    output = (await register(ADMIN, await a_running_step(a_user()), **ELSEWHERE))["output"]

    await asyncio.gather(*(share(ADMIN, output["id"], authorizeUserIds=[one.id]) for one in people))

    kept = await documents.Output.get(output["id"])
    assert kept
    assert set(kept.access_control.authorized_users) == {one.id for one in people}
    assert kept.revision == 9
