"""The objects of an operation are freed at once: there are no reference cycles for the garbage collector."""

import asyncio
import gc
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import pytest

from graph.context import Context
from graph.engine.plan.nested_reads import gather_all
from graph.engine.prepare import DocumentCache, InvalidDocument
from graph.schema import schema
from resolvers.reads.loaders import RequestLoader
from tests.support import builders
from tests.support.asking import ADMIN, execute_query

DENSE = "{" + " ".join(f"a{n}: organisations {{ nodes {{ name }} }}" for n in range(19)) + "%s}"
DOCUMENTS = 5
"""Documents that are read: a leak of three objects in each shows."""


@contextmanager
def uncollected() -> Iterator[None]:
    """A block in which nothing is collected."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@pytest.mark.parametrize("wrong", ["", " nope", " organisations(first: organisations)", " {", ' "', " } fragment f on"])
def test_a_document_leaves_no_more_the_more_it_holds(wrong: str) -> None:
    def left_by(text: str) -> int:
        document_cache = DocumentCache(schema)
        with uncollected():
            for n in range(DOCUMENTS):
                try:
                    _ = document_cache.prepare(text % f" b{n}: organisations {{ nodes {{ id }} }}{wrong}").point_lookup
                except InvalidDocument:
                    assert wrong
            return gc.collect()

    left_by("{%s}")
    assert left_by(DENSE) <= left_by("{%s}") + 2.5 * DOCUMENTS


async def test_what_was_read_is_freed_although_a_read_beside_it_failed() -> None:
    class Found:
        """The result of a read."""

    seen: list[weakref.ref[Found]] = []

    async def found() -> Found:
        one = Found()
        seen.append(weakref.ref(one))
        return one

    async def failed() -> None:
        raise ValueError("away")

    with uncollected():
        with pytest.raises(ValueError, match="away"):
            await gather_all(found(), failed())
        await asyncio.sleep(0)
        left = [one() for one in seen]

    assert left == [None]


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize(
    "asked",
    [
        "{ users { nodes { displayName digitalTwins { totalCount nodes { name } } } } }",
        '{ node(id: "org_00000000000000000000000000") { id } }',
        "mutation ($email: String!) { createUser(input: {displayName: $email, email: $email}) { user { id } } }",
        '{ organisation(url: "nowhere") { id } nodes(ids: ["nothing"]) { id } }',
    ],
)
async def test_what_the_standard_executor_read_with_is_freed(asked: str) -> None:
    await builders.a_tree(1)

    async def left_by_one() -> Any:
        context = Context(RequestLoader(ADMIN))
        await execute_query(asked, {"email": f"{uuid4()}@lab.example"}, context)
        return weakref.ref(context.loader)

    await left_by_one()
    with uncollected():
        left = (await left_by_one())()

    assert left is None
