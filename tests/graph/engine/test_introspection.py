"""Introspection is computed once, delays no other request, and is bounded in every form."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from graphql import execute, get_introspection_query, parse

from graph.engine import introspection
from graph.engine.introspection import SchemaAnswers
from graph.engine.prepare import DocumentCache, InvalidDocument
from graph.errors import Overloaded, RequestError
from graph.limits import MAX_INTROSPECTION_FIELDS
from graph.schema import schema
from tests.support.patience import cpu, within
from tests.support.running import Running

NAMES = "query($n:String!){__type(name:$n){name fields{name}}}"
EVERY_TYPE = "types{fields{name args{name type{name}} type{name ofType{name}}}}"


async def data(document_cache: DocumentCache, query: str, **variables: Any) -> Any:
    """The data about the schema."""
    prepared = document_cache.prepare(query)
    operation = prepared.operation(None)
    assert prepared.asks_for_schema(operation)
    found = await document_cache.schema_answer(prepared, operation, variables)
    return None if found is None else orjson.loads(found)


@pytest.fixture
def executions(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The threads in which graphql-core has executed an introspection."""
    seen: list[str] = []

    def counted(*arguments: Any, **options: Any) -> Any:
        seen.append(threading.current_thread().name)
        return execute(*arguments, **options)

    monkeypatch.setattr(introspection, "execute", counted)
    return seen


async def test_an_answer_is_that_of_the_executor_and_is_made_once_aside(executions: list[str]) -> None:
    document_cache, query = DocumentCache(schema), get_introspection_query()

    first, second = await data(document_cache, query), await data(document_cache, query)

    assert first == second == execute(schema._schema, parse(query)).data  # type: ignore[union-attr]
    assert len(executions) == 1
    assert executions[0].startswith("introspection")


async def test_equal_questions_at_one_time_are_answered_by_one_execution(executions: list[str]) -> None:
    document_cache = DocumentCache(schema)

    answers = await asyncio.gather(*(data(document_cache, NAMES, n="Dataset") for _ in range(20)))

    assert {answer["__type"]["name"] for answer in answers} == {"Dataset"}
    assert len(executions) == 1


async def test_variables_and_operations_tell_answers_apart(executions: list[str]) -> None:
    document_cache = DocumentCache(schema)

    kinds = [(await data(document_cache, NAMES, n=name))["__type"] for name in ("Dataset", "Step", "Nothing")]

    assert [kind and kind["name"] for kind in kinds] == ["Dataset", "Step", None]
    assert await data(document_cache, NAMES) is None, "variables that do not fit are left to the standard executor"


async def test_no_more_answers_are_kept_than_are_allowed(
    executions: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    document_cache = DocumentCache(schema)
    for n in range(introspection.MAX_CACHED_ANSWERS + 1):
        await data(document_cache, NAMES + " " * n, n="Step")
    await data(document_cache, NAMES + " ", n="Step")
    assert len(executions) == introspection.MAX_CACHED_ANSWERS + 1

    await data(document_cache, NAMES, n="Step")
    assert len(executions) == introspection.MAX_CACHED_ANSWERS + 2, "the one that was used longest ago was let go"

    monkeypatch.setattr(introspection, "MAX_CACHED_BYTES", 100)
    await data(document_cache, NAMES, n="Dataset")
    await data(document_cache, NAMES, n="Dataset")
    assert len(executions) == introspection.MAX_CACHED_ANSWERS + 4, "what is too large is not kept"


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (
            "{__schema{types{name}} b:__schema{types{name}}}",
            "The operation asks for __schema 2 times; once is allowed.",
        ),
        (
            "{...F b:__schema{types{name}}} fragment F on Query{a:__schema{types{name}}}",
            "The operation asks for __schema 2 times; once is allowed.",
        ),
        (
            '{__type(name:"Step"){name} datasets{nodes{id}}}',
            "The operation asks for __type beside datasets. Ask for the schema by itself.",
        ),
        (
            "query($s:Boolean!){... @include(if:$s){__schema{types{name}}} viewer{role}}",
            "The operation asks for __schema beside viewer. Ask for the schema by itself.",
        ),
    ],
)
def test_the_schema_is_asked_for_once_and_by_itself(query: str, message: str) -> None:
    with pytest.raises(InvalidDocument) as refused:
        DocumentCache(schema).prepare(query)

    assert refused.value.errors == [{"message": message, "extensions": {"code": "LIMIT_EXCEEDED"}}]


def repeated(times: int, selection: str) -> str:
    """A selection under so many aliases."""
    return "{" + " ".join(f"a{n}:{selection}" for n in range(times)) + "}"


@pytest.mark.parametrize(
    "query",
    [
        "{__schema" + repeated(25, EVERY_TYPE) + "}",
        repeated(19, '__type(name:"Query"){fields{type{ofType{fields{args{name type{name}} type{ofType{name}}}}}}}'),
    ],
    ids=["25 times every type", "19 times the root"],
)
async def test_aliases_and_levels_multiply_up_to_a_bound_and_are_refused_once(
    query: str, executions: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(introspection, "MAX_INTROSPECTION_FIELDS", 2_000)
    document_cache = DocumentCache(schema)

    for _ in range(2):
        with pytest.raises(RequestError) as refused:
            await data(document_cache, query)
        assert refused.value.message.startswith("The answer about the schema would hold more than 2,000 fields.")

    assert len(executions) == 1, "a refusal is remembered like an answer"


async def test_the_standard_query_needs_a_third_of_what_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(introspection, "MAX_INTROSPECTION_FIELDS", MAX_INTROSPECTION_FIELDS // 2)

    answer = await data(DocumentCache(schema), get_introspection_query(input_value_deprecation=True))

    assert answer["__schema"]["types"]


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> "Callable[[], None]":
    """Holds every execution until what this gives is called."""
    let_go = threading.Event()

    def waits(*arguments: Any, **options: Any) -> Any:
        assert let_go.wait(within())
        return execute(*arguments, **options)

    monkeypatch.setattr(introspection, "execute", waits)
    return let_go.set


async def test_others_are_served_while_an_answer_is_made(held: Callable[[], None]) -> None:
    document_cache = DocumentCache(schema)
    asking = asyncio.ensure_future(data(document_cache, NAMES, n="Step"))

    await asyncio.sleep(0.05)
    assert not asking.done(), "the loop has turned although the execution has not ended"

    held()
    assert (await asking)["__type"]["name"] == "Step"


async def test_whoever_gives_up_takes_no_answer_from_others(held: Callable[[], None]) -> None:
    document_cache = DocumentCache(schema)
    gone, stays = (asyncio.ensure_future(data(document_cache, NAMES, n="Step")) for _ in range(2))
    await asyncio.sleep(0)

    gone.cancel()
    held()

    assert (await stays)["__type"]["name"] == "Step"
    assert gone.cancelled()


async def test_no_more_wait_than_are_allowed(held: Callable[[], None]) -> None:
    answers = SchemaAnswers(schema)
    document = parse("{__schema{queryType{name}}}")
    waiting = [
        asyncio.ensure_future(answers.data(f"{n}", document, None, {})) for n in range(introspection.MAX_PENDING)
    ]
    await asyncio.sleep(0)

    with pytest.raises(Overloaded):
        await answers.data("one more", document, None, {})

    held()
    assert len(set(await asyncio.gather(*waiting))) == 1


def test_introspection_over_http_is_kept_too(faulty_server: Running) -> None:
    query = get_introspection_query()
    first = faulty_server.post(query)
    before = faulty_server.cpu()

    again = [faulty_server.post(query) for _ in range(10)]

    assert first.json()["data"]["__schema"]["queryType"]["name"] == "Query"
    assert {answer.content for answer in again} == {first.content}
    assert faulty_server.cpu() - before < cpu(0.3)


def test_a_get_and_an_answer_with_its_cost_tell_the_same(faulty_server: Running) -> None:
    query = '{__type(name:"Step"){name}}'

    got = faulty_server.get("/graphql", params={"query": query}, headers={"accept": "application/json"})
    costed = faulty_server.send(orjson.dumps({"query": query, "extensions": {"cost": True}}))

    assert got.json() == {"data": {"__type": {"name": "Step"}}}
    assert costed.json()["data"] == got.json()["data"]
    assert costed.json()["extensions"]["cost"]["objects"] == 0
