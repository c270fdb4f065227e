"""The queries of the benchmark. Those of deep, flat and point are the peers' own if their folder has them."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count, cycle
from pathlib import Path

from tests.bench.load import Address
from tests.bench.numbered_ids import numbered_id

DEEP = """query Deep {
  users(first: 100) { nodes { id displayName github
    digitalTwins(first: 100) { nodes { id name status public createdAt
      executions(first: 100) { nodes { id title description tags startTimestamp
        steps(first: 100) { nodes { id key ordinal startedAt endedAt
          outputs(first: 100) { nodes { id fileName fileSize fileType createdAt } } } } } } } } } }
}"""
FLAT = "query Flat { users(first: 100) { nodes { id displayName github createdAt } } }"
POINT = "query Point($id: ID!) { user(id: $id) { id displayName github } }"

CATALOGUE = """query Catalogue {
  organisations(first: 100) { nodes { id name url
    resources(first: 100) { nodes { id title landingPage
      datasets(first: 100) { nodes { id identifier title
        versions(first: 100) { nodes { id label ordinal createdAt
          distribution { id sizeBytes transform { id status endedAt } } } } } } } } } }
}"""
COUNTED = """query Counted {
  executions(first: 20) { totalCount nodes { id title createdAt } pageInfo { hasNextPage endCursor } }
}"""
FIRST_THREE = """query FirstThree {
  users(first: 100) { nodes { id digitalTwins(first: 20) { nodes { id
    executions(first: 3) { nodes { id title createdAt } } } } } }
}"""
CREATE = """mutation Create($input: CreateOrganisationInput!) {
  createOrganisation(input: $input) { organisation { id url name revision } userErrors { message } }
}"""

Requests = Callable[[Address], Iterator[bytes]]


@dataclass(frozen=True)
class Case:
    """A query with its variables, as an endless supply of requests."""

    name: str
    query: str
    requests: Requests
    sample: Callable[[Address], bytes]
    """One request, the same for all servers."""


def cases(folder: Path | None, users: int) -> dict[str, Case]:
    """All cases by name. `users` can be asked for by id."""

    def text(name: str, own: str) -> str:
        file = folder / "queries" / f"{name}.graphql" if folder else None
        return file.read_text() if file and file.is_file() else own

    found = [
        _plain("deep", text("deep", DEEP)),
        _plain("flat", text("flat", FLAT)),
        _point(text("point", POINT), users),
        _plain("catalogue chain", CATALOGUE),
        _plain("page of 20, counted", COUNTED),
        _plain("first 3 of many", FIRST_THREE),
        _mutation(),
    ]
    return {case.name: case for case in found}


def _plain(name: str, query: str) -> Case:
    return Case(name, query, lambda address: cycle([address.request(query)]), lambda address: address.request(query))


def _point(query: str, users: int) -> Case:
    def requests(address: Address) -> Iterator[bytes]:
        made = [address.request(query, {"id": numbered_id("user", number)}) for number in range(users)]
        # Without a seed, so that several connections do not ask for the same at once.
        return iter(lambda: random.choice(made), b"")

    return Case(
        "point", query, requests, lambda address: address.request(query, {"id": numbered_id("user", users - 1)})
    )


def _mutation() -> Case:
    numbers = count()

    def one(address: Address) -> bytes:
        url = f"https://made-{next(numbers)}.example"
        return address.request(CREATE, {"input": {"url": url, "name": "Made"}})

    return Case("mutation", CREATE, lambda address: iter(lambda: one(address), b""), one)
