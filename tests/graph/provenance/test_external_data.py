"""Data that lies elsewhere, as clients find it, and as much as each is shown of it."""

from datetime import datetime, timedelta
from typing import Any

import pytest

import documents
from documents.base import now
from documents.provenance.external_data import ExternalDataReport
from documents.provenance.used import Used
from graph.core.scalars import serialize_datetime
from resolvers.access.viewer import ANONYMOUS, Role, Viewer
from resolvers.reads import children
from tests.conftest import RoundTrips
from tests.support import builders as new
from tests.support.asking import ADMIN, answer, ask
from tests.support.builders import keep

pytestmark = pytest.mark.usefixtures("database")

URL = "https://files.example/a.csv"
AT = now() - timedelta(days=1)
FACTS = "sizeBytes mediaType createdAt"
FIND = "query ($id: ID, $url: String, $version: String) { externalData(id: $id, url: $url, version: $version) { id } }"


def a_report(owner: documents.User, hours: int, size: int | None = None) -> ExternalDataReport:
    return ExternalDataReport(owner_ref=owner.id, size_bytes=size, at=AT + timedelta(hours=hours))


def as_user(user: documents.User) -> Viewer:
    return Viewer(Role.USER, user.id)


def told(size: int | None, media_type: str | None, at: datetime) -> dict[str, Any]:
    """The facts as they are shown."""
    return {
        "sizeBytes": None if size is None else str(size),
        "mediaType": media_type,
        "createdAt": serialize_datetime(at),
    }


async def facts(data: documents.ExternalData, viewer: Viewer) -> Any:
    """The facts of one state, by its id."""
    return (await ask(f"query ($id: ID) {{ externalData(id: $id) {{ {FACTS} }} }}", viewer, id=data.id))["externalData"]


async def found(viewer: Viewer = ANONYMOUS, **key: Any) -> str | None:
    """The id of the state that is found."""
    shown = (await ask(FIND, viewer, **key))["externalData"]
    return None if shown is None else str(shown["id"])


async def test_a_public_state_shows_what_its_public_report_says() -> None:
    sha256 = "0a" * 32
    data = new.external_data(
        url=URL, version="1", sha256=sha256, public=True, size_bytes=2**40, media_type="text/csv", created_at=AT
    )
    await keep(data)

    query = f"query ($id: ID!) {{ node(id: $id) {{ ... on ExternalData {{ url version sha256 {FACTS} }} }} }}"
    node = (await ask(query, id=data.id))["node"]

    assert node == {"url": URL, "version": "1", "sha256": sha256, **told(2**40, "text/csv", AT)}


async def test_owners_are_shown_what_they_reported_themselves_and_others_nothing() -> None:
    ada, bob, carol = (new.a_user() for _ in range(3))
    data = new.external_data(ada, bob, url=URL, reports=[a_report(ada, 1, 7), a_report(bob, 2)])
    await keep(ada, bob, carol, data)

    shown = {user.id: await facts(data, as_user(user)) for user in (ada, bob, carol)}

    assert shown == {
        ada.id: told(7, None, AT + timedelta(hours=1)),
        bob.id: told(None, None, AT + timedelta(hours=2)),
        carol.id: None,
    }
    assert await facts(data, ANONYMOUS) is None


async def test_a_gap_in_what_is_public_is_filled_by_the_viewers_own_report_alone() -> None:
    ada, bob = new.a_user(), new.a_user()
    reports = [a_report(ada, 1, 7), a_report(bob, 2)]
    data = new.external_data(ada, bob, url=URL, public=True, media_type="text/csv", created_at=AT, reports=reports)
    await keep(ada, bob, data)

    shown = [await facts(data, viewer) for viewer in (as_user(ada), as_user(bob), ANONYMOUS)]

    assert shown == [told(7, "text/csv", AT), told(None, "text/csv", AT), told(None, "text/csv", AT)]


async def test_administrators_are_shown_the_report_of_the_first_step_that_used_it() -> None:
    ada, bob = new.a_user(), new.a_user()
    data = new.external_data(ada, bob, url=URL, reports=[a_report(ada, 1, 7), a_report(bob, 2, 8)])
    unreported = new.external_data(ada, reports=[])
    used = [Used(ref=data.id), Used(ref=unreported.id)]
    first = new.a_step(new.an_execution(new.a_twin(bob)), used=used, created_at=AT)
    await keep(data, unreported, first, new.a_step(new.an_execution(new.a_twin(ada)), used=used))

    assert await facts(data, ADMIN) == told(8, None, AT + timedelta(hours=2))
    assert await facts(unreported, ADMIN) == told(None, None, AT)


async def test_all_states_of_a_level_cost_one_round_trip(round_trips: RoundTrips) -> None:
    ada = new.a_user()
    await keep(ada, *(new.external_data(ada, url=URL, version=str(number)) for number in range(3)))
    query = f"query ($url: String) {{ externalData(url: $url) {{ states {{ nodes {{ version {FACTS} }} }} }} }}"

    with round_trips.counting() as seen:
        shown = await ask(query, as_user(ada), url=URL)

    assert sorted(state["version"] for state in shown["externalData"]["states"]["nodes"]) == ["0", "1", "2"]
    assert seen == [
        ("find", "external_data"),
        ("aggregate", "external_data"),
        ("aggregate", "external_data"),
        ("aggregate", "external_data"),
    ]


async def test_states_are_those_that_the_viewer_may_see_public_ones_first_and_oldest_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ada, bob = new.a_user(), new.a_user()
    late, early = (
        new.external_data(url=URL, version=version, public=True, created_at=AT + timedelta(hours=hours))
        for version, hours in (("late", 2), ("early", 1))
    )
    mine, theirs = new.external_data(ada, url=URL, version="mine"), new.external_data(bob, url=URL)
    other = new.external_data(ada, public=True, created_at=AT)
    # So many that each page is read by itself.
    many = [new.external_data(ada, url=other.url, version=str(number)) for number in range(20)]
    await keep(ada, bob, late, early, mine, theirs, other, *many)
    query = """query ($ids: [ID!]!, $first: Int) { nodes(ids: $ids) { ... on ExternalData {
      states(first: $first) { nodes { id } totalCount pageInfo { hasNextPage } } } } }"""

    async def pages(viewer: Viewer, first: int = 9) -> Any:
        nodes = (await ask(query, viewer, ids=[late.id, other.id], first=first))["nodes"]
        return [([state["id"] for state in node["states"]["nodes"]], node["states"]["totalCount"]) for node in nodes]

    of_anonymous, of_ada = await pages(ANONYMOUS), await pages(as_user(ada), 1)
    monkeypatch.setattr(children, "SINGLE_FIND_LIMIT", 1)
    each = await pages(as_user(ada), 1)
    ((every, _), _) = await pages(as_user(ada))

    assert of_anonymous == [([early.id, late.id], 2), ([other.id], 1)]
    assert of_ada == each == [([early.id], 3), ([other.id], 21)]
    assert every == [early.id, late.id, mine.id]


async def test_data_is_found_by_id_or_url_in_any_spelling_and_the_state_told_of_last() -> None:
    ada, bob = new.a_user(), new.a_user()
    old, new_ = (
        new.external_data(url=URL, version="1", sha256=sha256, public=True, created_at=AT + timedelta(hours=hours))
        for sha256, hours in (("0a" * 32, 1), ("0b" * 32, 3))
    )
    mine = new.external_data(ada, bob, url=URL, version="2", reports=[a_report(ada, 2), a_report(bob, 9)])
    theirs = new.external_data(bob, url=URL, version="3", reports=[a_report(bob, 8)])
    await keep(ada, bob, old, new_, mine, theirs)

    assert await found(id=old.id) == old.id
    assert await found(id=mine.id) is None
    assert await found(as_user(ada), id=mine.id) == mine.id
    assert await found(url=" https://me:secret@FILES.example:443/./a.csv?rlkey=s#1") == new_.id
    assert await found(as_user(ada), url=URL) == new_.id
    assert await found(as_user(bob), url=URL) == await found(ADMIN, url=URL) == mine.id
    assert [await found(as_user(ada), url=URL, version=version) for version in "123"] == [new_.id, mine.id, None]
    assert await found(id=old.id, url=f"{URL}?other") is None
    assert [await found(url=url) for url in ("https://files.example/none", "no url", "ftp://files.example/a")] == [
        None
    ] * 3


@pytest.mark.parametrize("key", [{}, {"version": "1"}])
async def test_data_is_not_found_by_nothing(key: dict[str, str]) -> None:
    refused = await answer(FIND, **key)

    (error,) = refused["errors"]
    assert (error["message"], error["extensions"]["code"]) == ("Give id, or url.", "BAD_USER_INPUT")


async def test_data_leads_to_the_oldest_output_or_archive_with_the_same_bytes_that_the_viewer_may_see(
    round_trips: RoundTrips,
) -> None:
    ada, of_output, of_archive, of_none = new.a_user(), "0a" * 32, "0b" * 32, "0c" * 32
    step = new.a_step(new.an_execution(new.a_twin(ada)))
    private, public, later = (new.an_output(step, public=n > 0, sha256=of_output) for n in range(3))
    archives = [new.an_archive(new.an_instance(public=True), sha256=sha256) for sha256 in (of_output, of_archive)]
    states = [
        new.external_data(url=URL, sha256=sha256, public=True, created_at=AT)
        for sha256 in (of_output, of_archive, of_none, None)
    ]
    await keep(ada, step, private, public, later, *archives, *states)
    query = """query ($ids: [ID!]!) { nodes(ids: $ids) { ... on ExternalData {
      sameAs { __typename id caption ... on Output { sha256 } ... on Archive { sizeBytes } } } } }"""

    async def same(viewer: Viewer) -> Any:
        shown = await ask(query, viewer, ids=[state.id for state in states])
        return [node["sameAs"] for node in shown["nodes"]]

    owners, everybodys = await same(as_user(ada)), await same(ANONYMOUS)
    with round_trips.counting() as seen:
        await same(ANONYMOUS)

    output = {"__typename": "Output", "id": public.id, "caption": public.file_name, "sha256": of_output}
    archive = archives[1]
    caption = f"Report {archive.identifier}"
    report = {"__typename": "Archive", "id": archive.id, "caption": caption, "sizeBytes": str(archive.size_bytes)}
    assert everybodys == [output, report, None, None]
    assert owners == [output | {"id": private.id, "caption": private.file_name}, report, None, None]
    assert seen == [("find", "external_data"), ("aggregate", "external_data")]
