"""Mutations of one request, and what they may leave behind."""

import pytest

import documents
from tests.conftest import RoundTrips
from tests.support.asking import ADMIN, ask
from tests.support.builders import everything_kept

pytestmark = pytest.mark.usefixtures("database")

CREATE = """mutation($key: String) {
  createOrganisation(input: {idempotencyKey: $key, url: "https://o.example"}) { userErrors { code } } }"""


async def test_an_anonymous_caller_with_a_key_leaves_nothing_not_even_for_a_moment(
    round_trips: RoundTrips,
) -> None:
    before = await everything_kept()

    with round_trips.counting() as seen:
        found = await ask(CREATE, key="k")

    assert found["createOrganisation"]["userErrors"] == [{"code": "FORBIDDEN"}]
    assert seen == []
    assert await everything_kept() == before


async def test_each_mutation_of_a_request_answers_with_what_it_wrote_itself() -> None:
    organisation = documents.Organisation(url="https://o.example", name="before")
    await organisation.insert()
    resource = documents.Resource(organisation_ref=organisation.id, title="t")
    await resource.insert()

    found = await ask(
        """mutation($resource: ID!, $organisation: ID!) {
          first: updateResource(input: {id: $resource, title: "a"}) { resource { organisation { name } } }
          rename: updateOrganisation(input: {id: $organisation, name: "after"}) { organisation { name } }
          second: updateResource(input: {id: $resource, title: "b"}) { resource { organisation { name } } }
        }""",
        ADMIN,
        resource=resource.id,
        organisation=organisation.id,
    )

    assert found["first"]["resource"]["organisation"]["name"] == "before"
    assert found["second"]["resource"]["organisation"]["name"] == "after"


async def test_a_field_merged_at_one_place_and_alone_at_another_is_read_at_both() -> None:
    organisation = documents.Organisation(url="https://o.example", name="n")
    await organisation.insert()

    await ask(
        """{
          a: organisations { ...Listed nodes { url name } }
          b: organisations { ...Listed }
        } fragment Listed on OrganisationConnection { nodes { id } }"""
    )
