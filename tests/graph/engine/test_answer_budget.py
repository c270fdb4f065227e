"""An answer is bounded by the bytes and objects that are written; repetition within the bounds is cheap."""

import time
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import orjson
import pytest

import documents
from documents.embedded_mongod.server import EmbeddedMongo
from documents.mongo.database import Database
from graph.engine.executor import BudgetedExecutor
from graph.engine.plan.row_codegen import RowTemplate
from resolvers.reads import children, rows
from resolvers.reads.answer_budget import AnswerLimits
from tests.conftest import RoundTrips
from tests.support import builders as new
from tests.support.asking import ADMIN
from tests.support.executors import Answers, Both
from tests.support.follower import follower
from tests.support.graph_world import a_world
from tests.support.patience import cpu
from tests.support.running import COMMAND, Running, on_database, running

DATASETS = 100
ANONYMOUS = AnswerLimits(50_000, 8_000_000)
TOO_MANY = (
    b'{"errors":[{"message":"The answer would hold more than %b objects. Ask for smaller pages or fewer levels; an \
object counts each time it occurs.","extensions":{"code":"LIMIT_EXCEEDED"}}],"data":null}'
)
TOO_LONG = (
    b'{"errors":[{"message":"The answer would hold more than %b bytes. Ask for smaller pages, fewer levels or fewer \
fields.","extensions":{"code":"LIMIT_EXCEEDED"}}],"data":null}'
)


def a_resource(csvw: str = "{}") -> list[documents.Document]:
    """A resource of a hundred datasets, and a version of the first of them with this document."""
    organisation = documents.Organisation(url="https://office.example", name="Office")
    resource = documents.Resource(organisation_ref=organisation.id, title="births")
    datasets = [documents.Dataset(resource_ref=resource.id, identifier=f"d{n:03}") for n in range(DATASETS)]
    return [organisation, resource, *datasets, *a_version(datasets[0].id, csvw)]


def a_version(dataset: str, csvw: str) -> list[documents.Document]:
    """A version of a dataset with this document."""
    version = documents.DatasetVersion(dataset_ref=dataset, label="v1", ordinal=1, distribution_ref="")
    distribution = documents.Distribution(
        dataset_ref=dataset, version_ref=version.id, csvw=csvw, sha256="0" * 64, size_bytes=len(csvw)
    )
    version.distribution_ref = distribution.id
    return [version, distribution]


def round_and_round(levels: int, inner: str = "id") -> str:
    """From datasets to their one resource and back, again and again."""
    for _ in range(levels):
        inner = f"datasets(first:100){{nodes{{id resource{{id {inner}}}}}}}"
    return f"{{{inner}}}"


def aliases(field: str, times: int) -> str:
    return " ".join(f"a{number}:{field}" for number in range(times))


async def cheapest(work: Callable[[], Awaitable[object]], tries: int = 5) -> float:
    """Seconds of CPU that it takes; of several tries the cheapest, as machines stutter."""
    took = []
    for _ in range(tries):
        began = time.process_time()
        await work()
        took.append(time.process_time() - began)
    return min(took)


async def memory(work: Callable[[], Awaitable[object]]) -> int:
    """Bytes that are held at most meanwhile."""
    tracemalloc.start()
    try:
        await work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


async def refused_cheaply(query: str, limits: AnswerLimits, refusal: bytes, **variables: Any) -> None:
    """Assert that both refuse a query so, and that it costs the server little to do."""
    both = Both(limits=limits)

    async def ask() -> bytes:
        return await both.ask_plan(query, **variables)

    assert await ask() == refusal
    assert await cheapest(ask) < cpu(0.05)
    assert await memory(ask) < 5_000_000


@pytest.mark.parametrize("levels", [3, 4, 5, 6])
async def test_rows_that_are_written_again_and_again_are_refused_before_they_are(
    database: Database, levels: int
) -> None:
    await new.keep(*a_resource())

    await refused_cheaply(round_and_round(levels), ANONYMOUS, TOO_MANY % b"50,000")
    await refused_cheaply(round_and_round(levels), AnswerLimits(), TOO_MANY % b"1,000,000")


async def test_the_reference_expands_nothing_of_a_level_that_would_be_too_much(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await new.keep(*a_resource())
    execute_fields, expanded = BudgetedExecutor.execute_fields, [0]

    def counting(executor: BudgetedExecutor, *arguments: Any) -> Any:
        expanded[0] += 1
        return execute_fields(executor, *arguments)

    monkeypatch.setattr(BudgetedExecutor, "execute_fields", counting)
    answers = await Both(limits=AnswerLimits()).ask(round_and_round(4))

    assert answers.reference == TOO_MANY % b"1,000,000"
    # The root, and twice a hundred times as many datasets with their resource, and pages of the first level.
    assert expanded[0] == 1 + 1 + 100 + 100 + 100 + 10_000 + 10_000


async def test_one_id_many_times_under_many_aliases_is_refused_as_well(database: Database) -> None:
    kept = a_resource()
    await new.keep(*kept)
    below = "resource{datasets(first:100){nodes{id}}}"
    query = f"query($ids:[ID!]!){{{aliases(f'nodes(ids:$ids){{...on Dataset{{{below}}}}}', 20)}}}"
    by_one = f"query($id:ID!){{{aliases(f'node(id:$id){{...on Dataset{{{below}}}}}', 20)}}}"

    await refused_cheaply(query, ANONYMOUS, TOO_MANY % b"50,000", ids=[kept[2].id] * 100)
    both = Both(limits=AnswerLimits(objects=20 * (1 + 1 + 100)))
    assert (await both.same(by_one, id=kept[2].id)).by == "planned"
    both = Both(limits=AnswerLimits(objects=20 * (1 + 1 + 100) - 1))
    assert (await both.same(by_one, id=kept[2].id)).planned == TOO_MANY % b"2,039"


async def test_large_values_that_are_written_again_and_again_are_refused_before_they_are(database: Database) -> None:
    kept = a_resource(orjson.dumps({"text": "x" * 100_000}).decode())
    await new.keep(*kept)
    csvw = "...on DatasetVersion{dataset{resource{datasets(first:100){nodes{resource{datasets(last:1){nodes{id}}}}}}}"
    csvw += " distribution{csvw}}"
    query = f"query($ids:[ID!]!){{{aliases(f'nodes(ids:$ids){{{csvw}}}', 10)}}}"

    await refused_cheaply(query, ANONYMOUS, TOO_LONG % b"8,000,000", ids=[kept[-2].id] * 10)


async def test_one_large_value_under_many_aliases_is_refused(database: Database) -> None:
    kept = a_resource(orjson.dumps({"text": "x" * 100_000}).decode())
    await new.keep(*kept)
    query = f"query($id:ID!){{node(id:$id){{...on Distribution{{{aliases('csvw', 29)}}}}}}}"
    both = Both(limits=AnswerLimits(bytes=2_000_000))

    answers = await both.same(query, id=kept[-1].id)

    assert answers.planned == TOO_LONG % b"2,000,000"


async def test_what_is_read_for_an_answer_is_bounded_before_rows_are_made_of_it(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "BATCH_SIZE", 5)
    csvw = orjson.dumps({"text": "x" * 50_000}).decode()
    kept = [one for number in range(30) for one in a_version(f"dataset_{number:024}", csvw)]
    await new.keep(*kept)
    ids = [one.id for one in kept if isinstance(one, documents.DatasetVersion)]
    query = "query($ids:[ID!]!){nodes(ids:$ids){...on DatasetVersion{distribution{csvw}}}}"
    both = Both(limits=AnswerLimits(bytes=100_000))

    async def ask() -> bytes:
        return await both.ask_plan(query, ids=ids)

    answers = await both.same(query, ids=ids)

    assert b"made from more than 1,000,000 stored bytes" in answers.planned
    assert answers.planned == answers.reference
    assert await memory(ask) < 2_500_000


async def test_long_names_of_fields_count(database: Database) -> None:
    await new.keep(*a_resource())
    name = "a" * 1_000
    query = f"{{datasets(first:100){{nodes{{{aliases(name + ':id', 0)} {name}:id resource{{{name}:id}}}}}}}}"

    refused = await Both(limits=AnswerLimits(bytes=200_000)).same(query)
    answered = await Both(limits=AnswerLimits(bytes=220_000)).same(query)

    assert (refused.planned, answered.by) == (TOO_LONG % b"200,000", "planned")


async def test_repetition_within_the_bounds_is_cheap(
    database: Database, round_trips: RoundTrips, monkeypatch: pytest.MonkeyPatch
) -> None:
    await new.keep(*a_resource())
    query, both, written = round_and_round(2), Both(limits=ANONYMOUS), [0]
    texts = RowTemplate.texts

    def counting(template: RowTemplate, rows: list[Any], *rest: Any, **options: Any) -> Any:
        written[0] += len(rows)
        return texts(template, rows, *rest, **options)

    with monkeypatch.context() as patch, round_trips.counting() as seen:
        patch.setattr(RowTemplate, "texts", counting)
        planned = await both.ask_plan(query)

    async def by_plan() -> None:
        await both.ask_plan(query)

    assert len(seen) == 4
    # Of 20,200 objects each dataset and the resource once a level; those of the root become no text of their own.
    assert written[0] == DATASETS + 2
    assert (await both.same(query)).planned == planned
    assert len(planned) > 900_000
    assert await cheapest(by_plan) < cpu(0.05)


EVERYWHERE = {
    "one, of many": "{datasets(first:100){nodes{id resource{id title}}}}",
    "one, of one": "{users(first:100){nodes{digitalTwins{nodes{owner{displayName digitalTwins{nodes{id}}}}}}}}",
    "picked": '{datasets{nodes{version(label:"v1"){label dataset{identifier}}}}}',
    "listed and referring": "{executions{nodes{steps{nodes{dependsOn{key dependents{key dependsOn{id}}}}}}}}",
    "listed, of a part": "{executions{nodes{workflowSchema{componentVersions{component{title versions{nodes{id}}}}}}}}",
    "gathered": "{executions{nodes{results{nodes{outputs{nodes{id step{execution{results{nodes{outputs{"
    "nodes{id}}}}}}}}}}}}}",
    "nodes and edges": "{organisations{nodes{id resources{nodes{title}}} edges{cursor node{name} again:node{id}}}}",
    "pages without rows": "{organisations{pageInfo{endCursor} totalCount} users{totalCount}}",
    "edges without rows": "{organisations{edges{cursor}}}",
    "embedded": "{instances{nodes{jobs{nodes{metrics{name} datasets{direction} parameters{name}}}}}}",
    "computed rows": "{viewer{role user{id}} toolUsage{toolId jobs instance{title}} outputs:executions{nodes{"
    "steps{nodes{inputFiles{nodes{name}} outputs{nodes{accessControl{authorizedUsers{id}}}}}}}}}",
    "an interface": "{executions{nodes{steps{nodes{logs{nodes{message}} ...on Activity{id status}}}}}}",
}


@pytest.mark.parametrize("name", EVERYWHERE)
async def test_both_count_alike_wherever_rows_are_written(database: Database, name: str) -> None:
    await a_world().begin()
    query = EVERYWHERE[name]
    cost = await cost_of(query)
    size = len((await Both().ask(query, ADMIN)).planned)

    async def within(objects: int, bytes: int) -> Answers:
        return await Both(limits=AnswerLimits(objects, bytes)).same(query, ADMIN)

    # The extension with the cost, up to 200 bytes, counts as a part of the answer.
    assert (await within(cost["objects"], size + 200)).by == "planned"
    assert (await Both(limits=AnswerLimits(cost["objects"], size)).ask(query, ADMIN)).by == "planned"
    assert b"bytes. Ask" in (await within(10**6, size - 1)).planned
    if cost["objects"]:
        assert b"objects. Ask" in (await within(cost["objects"] - 1, 10**8)).planned
    assert cost["bytes"] == size - len('{"data":}')


async def test_pages_that_are_read_once_more_since_there_are_too_many_rows_count_once(
    database: Database, monkeypatch: pytest.MonkeyPatch, round_trips: RoundTrips
) -> None:
    users = [new.a_user() for _ in range(3)]
    await new.keep(*users, *(new.a_twin(user, name=f"t{n}", public=True) for user in users for n in range(20)))
    monkeypatch.setattr(children, "SINGLE_FIND_LIMIT", 1)
    monkeypatch.setattr(rows, "BATCH_SIZE", 10)
    query = "{users{nodes{displayName digitalTwins(first:1){nodes{name}}}}}"

    with round_trips.counting() as seen:
        planned = await Both(limits=AnswerLimits(objects=6)).ask_plan(query)

    # After 30 rows of 60 each user's own page is read.
    assert seen[-1] == ("aggregate", "users")
    assert b"errors" not in planned
    assert (await Both(limits=AnswerLimits(6, len(planned) + 200)).same(query)).planned == planned
    assert b"5 objects. Ask" in (await Both(limits=AnswerLimits(objects=5)).same(query)).planned
    assert b"bytes. Ask" in (await Both(limits=AnswerLimits(bytes=len(planned) - 1)).same(query)).planned


@pytest.mark.parametrize(
    ("query", "objects"),
    [
        ("{users{nodes{displayName digitalTwins(first:1){nodes{name}}}}}", 6),
        ("{digitalTwins(first:7){nodes{owner{displayName digitalTwins(first:1){nodes{name}}}}}}", 21),
    ],
    ids=["once", "several times"],
)
async def test_pages_that_were_written_before_there_were_too_many_rows_count_once(
    database: Database, monkeypatch: pytest.MonkeyPatch, query: str, objects: int
) -> None:
    few, *many = [new.a_user(display_name=f"Somebody {n}") for n in range(3)]
    twins = [new.a_twin(few, name=f"few {n}", public=True) for n in range(4)]
    twins += [new.a_twin(user, name=f"many {n}", public=True) for n in range(30) for user in many]
    await new.keep(few, *many, *twins)
    monkeypatch.setattr(children, "SINGLE_FIND_LIMIT", 1)
    monkeypatch.setattr(rows, "BATCH_SIZE", 10)

    # The first batch holds all twins of one user, whose page is written before the second or third is too much.
    answers = await Both(limits=AnswerLimits(objects)).ask(query)

    assert (answers.by, answers.has_errors, answers.agree) == ("planned", False, True)
    exact = AnswerLimits(objects, len(answers.planned))
    assert (await Both(limits=exact).ask_plan(query)) == answers.planned
    assert b"objects. Ask" in await Both(limits=AnswerLimits(objects - 1)).ask_plan(query)
    assert b"bytes. Ask" in await Both(limits=AnswerLimits(objects, len(answers.planned) - 1)).ask_plan(query)


async def cost_of(query: str) -> dict[str, int]:
    answers = await Both().post({"query": query, "extensions": {"cost": True}}, ADMIN)
    assert answers.by == "planned"
    assert answers.agree
    found: dict[str, int] = orjson.loads(answers.planned)["extensions"]["cost"]
    return found


async def test_the_cost_of_what_is_refused_is_told_as_far_as_it_was_counted(database: Database) -> None:
    await new.keep(*a_resource())
    posted = {"query": round_and_round(3), "extensions": {"cost": True}}

    answers = await Both(limits=ANONYMOUS).post(posted)

    for answer in (answers.planned, answers.reference):
        cost = orjson.loads(answer)["extensions"]["cost"]
        assert cost["objects"] == 100 + 100 + 10_000 + 10_000 + 1_000_000
        assert (cost["allowed"], cost["allowedBytes"]) == (50_000, 8_000_000)


@pytest.fixture
async def server(mongod: EmbeddedMongo, database: Database) -> AsyncIterator[Running]:
    """A server whose answers may hold little, over a resource of many datasets and an execution of many steps."""
    user = new.a_user()
    twin = new.a_twin(user, public=True)
    execution = new.an_execution(twin, public=True)
    steps = [new.a_step(execution, key=f"s{number}", ordinal=number, public=True) for number in range(30)]
    await new.keep(*a_resource(), user, twin, execution, *steps)
    env = on_database(mongod.uri, database.name) | {
        "PROVENANCE_ANONYMOUS_OBJECTS": "60",
        "PROVENANCE_ANSWER_BYTES": "8000",
        "PROVENANCE_ANONYMOUS_ANSWER_BYTES": "4000",
    }
    with running(*COMMAND, "serve", env=env) as server:
        yield server


async def test_settings_bound_the_answers_of_anonymous_callers_and_of_others(server: Running) -> None:
    by_admin = {"authorization": f"Bearer {server.token}"}
    few, many, more = "{datasets(first:50){nodes{id}}}", "{datasets(first:61){nodes{id}}}", round_and_round(1)

    answers = [server.post(few), server.post(many), server.post(many, **by_admin), server.post(more, **by_admin)]

    assert [answer.status_code for answer in answers] == [200] * 4
    assert [refusal_of(answer.json()) for answer in answers] == [
        None,
        "The answer would hold more than 60 objects.",
        None,
        "The answer would hold more than 8,000 bytes.",
    ]
    assert 'provenance_graphql_refusals_total{code="LIMIT_EXCEEDED"} 2.0' in server.get("/metrics").text


def refusal_of(answer: dict[str, Any]) -> str | None:
    """The first sentence of why there is no answer."""
    if "errors" not in answer:
        return None
    assert answer["data"] is None
    (error,) = answer["errors"]
    assert error["extensions"] == {"code": "LIMIT_EXCEEDED"}
    sentence, _, _ = error["message"].partition(" Ask")
    return str(sentence)


async def test_a_mutation_whose_answer_would_be_too_large_is_done_all_the_same(server: Running) -> None:
    (resource,) = server.ask("{resources{nodes{id revision}}}")["resources"]["nodes"]
    query = "mutation($input:UpdateResourceInput!){updateResource(input:$input){resource{%s}}}" % (
        round_and_round(1).strip("{}") + "}}}"
    )

    answer = server.post(
        query, {"input": {"id": resource["id"], "title": "deaths"}}, authorization=f"Bearer {server.token}"
    )

    assert refusal_of(answer.json()) == "The answer would hold more than 8,000 bytes."
    assert server.ask("{resources{nodes{title}}}")["resources"]["nodes"] == [{"title": "deaths"}]


async def test_over_a_websocket_a_query_and_a_subscription_are_bounded_as_well(server: Running) -> None:
    (execution,) = server.ask("{executions{nodes{id}}}")["executions"]["nodes"]
    steps, others = "steps(first:30){nodes{id}}", "others:steps(first:%d){nodes{id}}"
    async with follower(server, token="") as client:
        await client.follow("{datasets(first:61){nodes{id}}}")
        queried = await client.rest()
        # The execution itself is an object as well.
        for operation, selection in (("2", f"{steps} {others % 29}"), ("3", f"{steps} {others % 30}")):
            await client.follow(f"subscription($id:ID!){{execution(id:$id){{{selection}}}}}", operation, **execution)
            if operation == "2":
                assert len((await client.next())["steps"]["nodes"]) == 30
        followed = await client.rest()

    assert [refusal_of(one["payload"]) for one in queried[:-1]] == ["The answer would hold more than 60 objects."]
    assert [refusal_of(one["payload"]) for one in followed[:-1]] == ["The answer would hold more than 60 objects."]
    assert (queried[-1]["type"], followed[-1]) == ("complete", {"id": "3", "type": "complete"})
