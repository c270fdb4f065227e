"""Lists, conditions and orders in arguments are bounded before anything is made of them."""

import time
from typing import Any

import pytest
from graphql import GraphQLInputObjectType, GraphQLList, get_named_type, get_nullable_type

from graph.core.where import ORDER_INPUTS, WHERE_INPUTS
from graph.engine.error_masking import Formatted, refusal_errors
from graph.engine.prepare import DocumentCache, InvalidDocument
from graph.errors import RequestError
from graph.limits import Limits
from graph.schema import schema
from tests.support.patience import cpu
from tests.support.running import Running

CONDITION = {"title": {"eq": "a"}}
DATASETS = "query($v:DatasetWhere){datasets(where:$v){nodes{id}}}"
TOO_MANY = "datasets.where has 201 conditions or more; at most 200 are allowed."
document_cache = DocumentCache(schema)


def refusal_of(query: str, **variables: Any) -> str | None:
    """Why a request is refused before it is run; None where it is not."""
    try:
        prepared = document_cache.prepare(query)
        prepared.check_variables(prepared.operation(None), variables)
    except InvalidDocument as refusal:
        return _message(refusal.errors)
    except RequestError as refusal:
        return _message(refusal_errors(refusal))
    return None


def _message(errors: list[Formatted]) -> str:
    assert [error["extensions"] for error in errors] == [{"code": "LIMIT_EXCEEDED"}]
    return str(errors[0]["message"])


def a_cube(side: int) -> dict[str, Any]:
    """A where of side × side × side conditions, none of whose lists is long."""
    return {"or": [{"and": [{"or": [CONDITION] * side}] * side}] * side}


def literal(conditions: int) -> str:
    return "{datasets(where:{or:[" + '{title:{eq:"a"}}' * conditions + "]}){nodes{id}}}"


@pytest.mark.parametrize(
    ("query", "variables", "message"),
    [
        (DATASETS, {"v": {"or": [CONDITION] * 201}}, TOO_MANY),
        (DATASETS, {"v": a_cube(25)}, TOO_MANY.replace("201", "625")),
        (DATASETS, {"v": {"and": [{}] * 201}}, TOO_MANY),
        (literal(201), {}, TOO_MANY),
        (
            "query($v:DatasetWhere!){datasets(where:{or:[$v $v]}){nodes{id}}}",
            {"v": {"or": [CONDITION] * 101}},
            "datasets.where has 202 conditions or more; at most 200 are allowed.",
        ),
        (
            literal(201).replace("{datasets(where:", "query($v:DatasetWhere=").replace("){", "){datasets(where:$v){"),
            {},
            TOO_MANY,
        ),
        (
            "query($v:JobWhere){toolUsage(where:$v){jobs}}",
            {"v": {"and": [{"state": {"eq": "ok"}}] * 201}},
            "toolUsage.where has 201 conditions or more; at most 200 are allowed.",
        ),
        (
            "query($v:ExecutionWhere){users{nodes{digitalTwins{nodes{executions(where:$v){nodes{id}}}}}}}",
            {"v": {"not": {"or": [{"title": {"eq": "a"}}] * 201}}},
            "executions.where has 201 conditions or more; at most 200 are allowed.",
        ),
        (
            "query($v:[DatasetOrder!]){datasets(orderBy:$v){nodes{id}}}",
            {"v": [{"field": "TITLE"}] * 11},
            "datasets.orderBy has 11 items; at most 10 are allowed.",
        ),
        (
            "{datasets(orderBy:[" + "{field:TITLE}" * 11 + "]){nodes{id}}}",
            {},
            "datasets.orderBy has 11 items; at most 10 are allowed.",
        ),
        (
            "query($v:[ID!]!){nodes(ids:$v){id}}",
            {"v": ["x"] * 2_001},
            "nodes.ids has 2,001 items; at most 2,000 are allowed.",
        ),
        (
            "query($v:[String!]){jobs{nodes{metrics(names:$v){text}}}}",
            {"v": ["x"] * 2_001},
            "metrics.names has 2,001 items; at most 2,000 are allowed.",
        ),
        (
            "query($v:DatasetWhere){datasets(where:$v){nodes{id}}}",
            {"v": {"title": {"in": ["x"] * 2_001}}},
            "datasets.where.title.in has 2,001 items; at most 2,000 are allowed.",
        ),
        (
            "mutation($v:AppendLogsInput!){appendLogs(input:$v){userErrors{code}}}",
            {"v": {"entries": [{}] * 2_001}},
            "appendLogs.input.entries has 2,001 items; at most 2,000 are allowed.",
        ),
    ],
)
def test_breadth_is_refused_with_the_place_and_the_bound(query: str, variables: dict[str, Any], message: str) -> None:
    assert refusal_of(query, **variables) == message


@pytest.mark.parametrize(
    "around",
    ["{...{%s}}", "{...on Query{%s}}", "{...@include(if:true){organisations{nodes{...on Organisation{%s}}}}}"],
)
def test_breadth_in_an_inline_fragment_is_refused_like_any_other(around: str) -> None:
    field = "resources" if "Organisation" in around else "datasets"
    conditions = '{title:{eq:"a"}}' * 201

    assert refusal_of(around % f"{field}(where:{{or:[{conditions}]}}){{nodes{{id}}}}") == (
        f"{field}.where has 201 conditions or more; at most 200 are allowed."
    )


def test_what_is_shared_counts_wherever_it_is_used() -> None:
    """Fragments and variables repeat a where at 20 places for the price of one."""
    fields = " ".join(f"a{n}:datasets(where:$v){{nodes{{id}}}}" for n in range(10))
    fragment = f"query($v:DatasetWhere){{...F b:organisations{{nodes{{id}}}}}} fragment F on Query{{{fields}}}"

    few, many = {"or": [CONDITION] * 100}, {"or": [CONDITION] * 125}

    assert refusal_of(fragment, v=few) is None
    assert refusal_of(fragment, v=many) == (
        "The arguments hold more than 2,500 input objects, counted at each place where they are used."
    )


def test_the_default_of_a_variable_counts_where_nothing_else_is_given() -> None:
    fields = " ".join(f"a{n}:datasets(where:$v){{nodes{{id}}}}" for n in range(20))
    query = "query($v:DatasetWhere={or:[" + '{title:{eq:"a"}}' * 70 + f"]}}){{{fields}}}"

    assert "more than 2,500 input objects" in str(refusal_of(query))
    assert refusal_of(query, v=CONDITION) is None


def test_literals_in_fragments_count_wherever_they_are_spread() -> None:
    inner = "{nodes{...F}}"
    spread = "{" + " ".join(f"a{n}:organisations{inner}" for n in range(20)) + "}"
    many = spread + "fragment F on Organisation{resources(where:{or:[" + '{title:{eq:"a"}}' * 70 + "]}){nodes{id}}}"

    assert "more than 2,500 input objects" in str(refusal_of(many))


@pytest.mark.parametrize(
    ("query", "variables"),
    [
        (DATASETS, {"v": {"or": [CONDITION] * 200}}),
        (DATASETS, {"v": a_cube(5)}),
        (DATASETS, {"v": None}),
        (DATASETS, {}),
        (literal(200), {}),
        ("query($v:[DatasetOrder!]){datasets(orderBy:$v){nodes{id}}}", {"v": [{"field": "TITLE"}] * 10}),
        ("query($v:[DatasetOrder!]){datasets(orderBy:$v){nodes{id}}}", {"v": {"field": "TITLE"}}),
        ("query($v:[ID!]!){nodes(ids:$v){id}}", {"v": ["x"] * 2_000}),
        (
            "mutation($v:AppendLogsInput!){appendLogs(input:$v){userErrors{code}}}",
            {"v": {"entries": [{"text": "x", "sequence": n} for n in range(2_000)]}},
        ),
    ],
)
def test_what_is_within_the_bounds_passes(query: str, variables: dict[str, Any]) -> None:
    assert refusal_of(query, **variables) is None


@pytest.mark.parametrize("value", [3, "x", [3], {"or": 3}, {"or": [3]}, {"title": []}, {"nope": [[]]}, [[[[]]]]])
def test_values_of_another_kind_are_left_to_coercion(value: Any) -> None:
    assert refusal_of(DATASETS, v=value) is None


def test_refusing_costs_no_more_than_a_few_milliseconds() -> None:
    prepared = document_cache.prepare(DATASETS)
    worst = {"v": {"or": [{"or": [CONDITION] * 199}] * 80}}

    begun = time.process_time()
    with pytest.raises(RequestError):
        prepared.check_variables(prepared.operation(None), worst)

    assert time.process_time() - begun < cpu(0.2)


def test_every_where_and_every_order_of_the_schema_is_known_as_one() -> None:
    inputs = {name for name, kind in schema._schema.type_map.items() if isinstance(kind, GraphQLInputObjectType)}
    found_wheres, found_orders = set(), set()
    for kind in schema._schema.type_map.values():
        for field in getattr(kind, "fields", {}).values():
            for name, argument in getattr(field, "args", {}).items():
                named = get_named_type(argument.type).name
                if name == "where":
                    found_wheres.add(named)
                if name == "orderBy" and isinstance(get_nullable_type(argument.type), GraphQLList):
                    found_orders.add(named)

    assert found_wheres
    assert found_wheres <= WHERE_INPUTS <= inputs
    assert found_orders <= ORDER_INPUTS <= inputs


def test_a_cube_of_conditions_is_refused_over_http(faulty_server: Running) -> None:
    answer = faulty_server.post(DATASETS, {"v": a_cube(25)})

    assert answer.status_code == 400
    assert answer.json()["errors"][0] == {
        "message": f"datasets.where has 625 conditions or more; at most {Limits().conditions} are allowed.",
        "extensions": {"code": "LIMIT_EXCEEDED"},
    }
