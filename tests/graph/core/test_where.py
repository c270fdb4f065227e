"""Filters on lists: all conditions hold for one of the elements, and null finds lists without any."""

from collections.abc import Callable
from typing import Any, cast

import pytest

import documents
from documents.activities.activity import CodeReference
from documents.twins.execution import WorkflowSchema
from tests.support import builders as new
from tests.support.asking import ADMIN, ask, refusal
from tests.support.builders import keep

pytestmark = pytest.mark.usefixtures("database")

LISTS = [[], ["apple"], ["buzz"], ["apple", "buzz"], ["b.a", "ab"], ["bb\napple", "zz"], ["b", "b"]]
ASKED: list[dict[str, Any]] = [
    {},
    {"eq": "apple"},
    {"eq": None},
    {"eq": "apple", "startsWith": "b"},
    {"eq": "apple", "startsWith": "a"},
    {"eq": "buzz", "in": ["apple", "b"]},
    {"eq": "buzz", "in": ["buzz", "b"], "contains": "u", "startsWith": "b"},
    {"eq": None, "startsWith": "b"},
    {"eq": None, "in": []},
    {"in": ["apple", "zz"]},
    {"in": []},
    {"in": ["buzz", "apple"], "contains": "zz"},
    {"contains": "a", "startsWith": "b"},
    {"contains": "b.", "startsWith": "b."},
    {"contains": ".", "startsWith": "b"},
    {"contains": "apple", "startsWith": "bb"},
    {"contains": "bapple"},
    {"startsWith": "", "contains": ""},
]


def meets(element: str, asked: dict[str, Any]) -> bool:
    """Whether an element meets all conditions."""
    return (
        element == asked.get("eq", element)
        and element in asked.get("in", [element])
        and asked.get("contains", "") in element
        and element.startswith(asked.get("startsWith", ""))
    )


def is_found(elements: list[str], asked: dict[str, Any]) -> bool:
    """Whether a filter finds a list."""
    if not asked or asked == {"eq": None}:
        return not asked or not elements
    return any(meets(element, asked) for element in elements)


def a_dataset(elements: list[str]) -> documents.Document:
    return documents.Dataset(resource_ref="resource_1", identifier="-".join(elements), keywords=elements)


def a_component(elements: list[str]) -> documents.Document:
    return new.a_component(tags=elements)


def a_transform(elements: list[str]) -> documents.Document:
    code = [CodeReference(repository="https://code.example", path="main.py", commit=one) for one in elements]
    return documents.Transform(resource_ref="resource_1", code=code)


def a_tagged_execution(elements: list[str]) -> documents.Document:
    return new.an_execution(new.a_twin(new.a_user()), tags=elements)


def an_execution_of(elements: list[str]) -> documents.Document:
    workflow = WorkflowSchema(workflow_executor="any", workflow_executor_version="1", component_versions=elements)
    return new.an_execution(new.a_twin(new.a_user()), workflow_schema=workflow)


def a_tagged_workflow(elements: list[str]) -> documents.Document:
    return new.a_named_workflow(None, tags=elements)


def a_workflow_of(elements: list[str]) -> documents.Document:
    return new.a_named_workflow(None, component_versions=elements)


KINDS: dict[tuple[str, str], Callable[[list[str]], documents.Document]] = {
    ("datasets", "keyword"): a_dataset,
    ("components", "tag"): a_component,
    ("transforms", "commit"): a_transform,
    ("executions", "tag"): a_tagged_execution,
    ("executions", "componentVersionId"): an_execution_of,
    ("workflows", "tag"): a_tagged_workflow,
    ("workflows", "componentVersionId"): a_workflow_of,
}


@pytest.mark.parametrize(("listed", "field"), KINDS)
async def test_all_conditions_hold_for_one_element_and_null_is_none(listed: str, field: str) -> None:
    made = {}
    for elements in LISTS:
        await keep(kept := KINDS[listed, field](elements))
        made[kept.id] = elements
    if field == "componentVersionId":
        asked = [one for one in ASKED if not one.keys() & {"contains", "startsWith"}]
    else:
        asked = ASKED
    where = f"{listed[0].upper()}{listed[1:-1]}Where"
    query = f"query ($where: {where}) {{ {listed}(first: 100, where: $where) {{ totalCount nodes {{ id }} }} }}"

    for one in asked:
        for negated in (False, True):
            given = {"not": {field: one}} if negated else {field: one}
            found = (await ask(query, ADMIN, where=given))[listed]

            expected = {id for id, elements in made.items() if is_found(elements, one) is not negated}
            assert {node["id"] for node in found["nodes"]} == expected, given
            assert found["totalCount"] == len(expected)


async def test_a_filter_of_a_list_is_as_bounded_as_others() -> None:
    query = "query ($where: DatasetWhere) { datasets(where: $where) { totalCount } }"

    for asked in ({"in": ["a"] * 1_001}, {"contains": "a" * 1_001, "startsWith": "b"}, {"startsWith": "a" * 1_001}):
        assert (await refusal(query, where={"keyword": asked}))[0] == "LIMIT_EXCEEDED"
    for asked in ({"in": ["a"] * 1_000}, {"contains": "a" * 1_000, "startsWith": "a" * 1_000}):
        assert (await ask(query, where={"keyword": asked})) == {"datasets": {"totalCount": 0}}


@pytest.mark.parametrize("name", ["and", "or", "not"])
async def test_a_where_may_be_five_deep_and_not_six(name: str) -> None:
    await keep(kept := a_dataset(["apple"]))
    query = "query ($where: DatasetWhere) { datasets(where: $where) { nodes { id } } }"

    def nested(depth: int) -> dict[str, Any]:
        inner: Any = {"keyword": {"eq": "apple"}}
        for _ in range(depth - 1):
            inner = {name: inner if name == "not" else [inner]}
        return cast(dict[str, Any], inner)

    # Four times not is as good as none.
    assert await ask(query, ADMIN, where=nested(5)) == {"datasets": {"nodes": [{"id": kept.id}]}}
    assert await refusal(query, ADMIN, where=nested(6)) == (
        "LIMIT_EXCEEDED",
        "A where may be nested at most 5 levels deep.",
    )
