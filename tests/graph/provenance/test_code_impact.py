"""Artifacts that runs of some code made, found by repository and commit, as far as the viewer may see them."""

from datetime import timedelta
from typing import Any

import pytest

import documents
from documents.activities.activity import CodeReference
from resolvers.access.viewer import ANONYMOUS, Role, Viewer
from resolvers.limits import MAX_IMPACT_COMMITS
from resolvers.provenance import code_impact as module
from tests.conftest import RoundTrips
from tests.support import builders as new
from tests.support.asking import ADMIN, answer, ask, refusal
from tests.support.builders import COMMIT, REPOSITORY, keep
from tests.support.lineage_world import START, LineageWorld

pytestmark = pytest.mark.usefixtures("database")

QUERY = """query ($repository: String!, $commits: [String!]!, $path: String, $first: Int, $after: String, $last: Int,
  $before: String) { codeImpact(repository: $repository, commits: $commits, path: $path, first: $first, after: $after,
  last: $last, before: $before) { totalCount pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  nodes { __typename id caption } edges { cursor node { id } } } }"""
EARLIER, LATER = "a1" * 20, "a1" * 19 + "b2"
NOTHING = {
    "totalCount": 0,
    "pageInfo": {"hasNextPage": False, "hasPreviousPage": False, "startCursor": None, "endCursor": None},
    "nodes": [],
    "edges": [],
}


async def impact(viewer: Viewer = ADMIN, repository: str = REPOSITORY, *commits: str, **given: Any) -> Any:
    """The whole connection."""
    asked = {"repository": repository, "commits": commits or [COMMIT], **given}
    return (await ask(QUERY, viewer, **asked))["codeImpact"]


async def captions(*commits: str, **given: Any) -> list[str]:
    """The captions of what an administrator finds, whose number is that of all."""
    found = await impact(ADMIN, REPOSITORY, *commits, **given)
    assert found["totalCount"] == len(found["nodes"]) == len(found["edges"])
    return [node["caption"] for node in found["nodes"]]


def an_output_of(commit: str, path: str | None = None, repository: str = REPOSITORY) -> list[documents.Document]:
    """A step that ran a file at a commit, and its output, which is called after them."""
    step = new.a_step(
        new.an_execution(new.a_twin(new.a_user())),
        code=[CodeReference(repository=repository, path=path, commit=commit)],
    )
    return [step, new.an_output(step, file_name=f"{commit[:7]}…{commit[-2:]} {path}")]


@pytest.mark.parametrize("spelling", ["git@code.example:component.git", "code.example/component/", REPOSITORY])
async def test_everything_that_the_code_made_is_found_oldest_first(spelling: str, round_trips: RoundTrips) -> None:
    world = LineageWorld()
    for hour, artifact in enumerate([world.maps[0], world.document, world.maps[1], world.counts]):
        artifact.created_at = START + timedelta(hours=hour)
    await keep(*world.kept, *an_output_of(COMMIT, repository="https://code.example/other"))

    with round_trips.counting() as seen:
        found = await impact(ADMIN, spelling)

    assert [(node["__typename"], node["caption"]) for node in found["nodes"]] == [
        ("Output", "map1.svg"),
        ("Distribution", "Maps of the city v2"),
        ("Output", "map2.svg"),
        ("Output", "counts.csv"),
    ]
    assert sorted(seen) == [
        ("aggregate", "distributions"),
        ("aggregate", "outputs"),
        ("find", "distributions"),
        ("find", "outputs"),
        ("find", "steps"),
        ("find", "steps"),
        ("find", "transforms"),
        ("find", "transforms"),
    ]


async def test_a_long_page_takes_the_round_trips_of_a_short_one(round_trips: RoundTrips) -> None:
    step = new.a_step(new.an_execution(new.a_twin(new.a_user())))
    await keep(step, *(new.an_output(step) for _ in range(102)))

    with round_trips.counting() as of_few:
        await impact(ADMIN, first=1)
    with round_trips.counting() as of_many:
        found = await impact(ADMIN, first=100)

    assert len(found["nodes"]) == 100
    assert sorted(of_many) == sorted(of_few)


async def test_commits_are_whole_or_begin_alike() -> None:
    short = EARLIER[:10]
    for commit in (EARLIER, LATER, short, "c3" * 20, "d4" * 32):
        await keep(*an_output_of(commit))

    assert await captions(EARLIER) == ["a1a1a1a…a1 None", "a1a1a1a…a1 None"]
    assert await captions(LATER.upper()) == ["a1a1a1a…b2 None", "a1a1a1a…a1 None"]
    assert await captions(EARLIER[:7], LATER) == ["a1a1a1a…a1 None", "a1a1a1a…b2 None", "a1a1a1a…a1 None"]
    assert await captions("c3" * 4, "d4" * 32, "d4" * 32) == ["c3c3c3c…c3 None", "d4d4d4d…d4 None"]
    assert await captions("c3" * 20 + "00") == await captions("e5" * 20) == []
    assert await impact(ADMIN, REPOSITORY, commits=[]) == NOTHING


async def test_a_path_is_a_file_or_a_folder_that_ran_at_the_commit() -> None:
    for path in ("src/main.py", "src/lib/a.py", "src.py", "srcs/main.py", "SRC/main.py", None):
        await keep(*an_output_of(COMMIT, path))
    two_files = new.a_step(
        new.an_execution(new.a_twin(new.a_user())),
        code=[
            CodeReference(repository=REPOSITORY, path="src/main.py", commit=EARLIER),
            CodeReference(repository=REPOSITORY, path="other.py", commit=COMMIT),
        ],
    )
    await keep(two_files, new.an_output(two_files, file_name="two"))
    ran = "0123456…67"

    assert await captions(COMMIT, path="src/main.py") == [f"{ran} src/main.py"]
    assert await captions(COMMIT, path="src/") == [f"{ran} src/main.py", f"{ran} src/lib/a.py"]
    assert await captions(COMMIT, path="s.c/") == await captions(COMMIT, path="src") == []
    assert await captions(EARLIER, path="src/") == ["two"]


@pytest.mark.parametrize("runs_at_once", [1, 2, 5_000])
async def test_pages_follow_each_other_in_both_directions(runs_at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RUNS_AT_ONCE", runs_at_once)
    world = LineageWorld(public=True)
    artifacts = [world.maps[1], world.document, world.counts, world.maps[0]]
    for hour, artifact in enumerate(artifacts):
        # Two of them at one time are in the order of their ids.
        artifact.created_at = START + timedelta(hours=min(hour, 2))
    await world.begin()
    ids = [one.id for one in [*artifacts[:2], *sorted(artifacts[2:], key=lambda one: one.id)]]
    monkeypatch.setattr(module, "MAX_COUNTED_ROWS", 3)

    def shown(page: Any) -> tuple[list[str], bool, bool]:
        return (
            [node["id"] for node in page["nodes"]],
            page["pageInfo"]["hasPreviousPage"],
            page["pageInfo"]["hasNextPage"],
        )

    first = await impact(first=3)
    second = await impact(first=3, after=first["pageInfo"]["endCursor"])
    last = await impact(last=2)
    before = await impact(last=9, before=last["edges"][0]["cursor"])
    between = await impact(first=9, after=first["edges"][0]["cursor"], before=first["edges"][2]["cursor"])

    assert shown(first) == (ids[:3], False, True)
    assert shown(second) == (ids[3:], True, False)
    assert shown(last) == (ids[2:], True, False)
    assert shown(before) == (ids[:2], False, True)
    assert shown(between)[0] == ids[1:2]
    assert {page["totalCount"] for page in (first, second, last, before)} == {None}
    of_another = await refusal(QUERY, ADMIN, repository="h.x/y", commits=[COMMIT], after=last["edges"][0]["cursor"])
    assert of_another[0] == "BAD_CURSOR"


@pytest.mark.parametrize(
    ("given", "code", "message"),
    [
        ({"commits": ["0a1b2c"]}, "BAD_USER_INPUT", "not '0a1b2c'"),
        ({"commits": [COMMIT, "main"]}, "BAD_USER_INPUT", "not 'main'"),
        ({"commits": ["0" * 65]}, "BAD_USER_INPUT", f"not '{'0' * 65}'"),
        ({"commits": [".*" * 20]}, "BAD_USER_INPUT", "not '.*.*"),
        ({"commits": [COMMIT] * (MAX_IMPACT_COMMITS + 1)}, "LIMIT_EXCEEDED", "commits has 1,001 values"),
        ({"repository": " "}, "BAD_USER_INPUT", "not ' '"),
        ({"repository": "h.x/" + "a" * 2_000}, "BAD_USER_INPUT", f"not 'h.x/{'a' * 96}…'"),
        ({"path": ""}, "BAD_USER_INPUT", "not ''"),
        ({"path": "a\0b"}, "BAD_USER_INPUT", "not 'a\\x00b'"),
        ({"first": 101}, "BAD_USER_INPUT", "not 101"),
    ],
)
async def test_what_cannot_be_found_is_refused_with_its_value(given: dict[str, Any], code: str, message: str) -> None:
    refused = await refusal(QUERY, **{"repository": REPOSITORY, "commits": [COMMIT], **given})

    assert refused[0] == code
    assert message in refused[1]


async def test_each_viewer_finds_what_they_may_see_of_runs_that_they_may_see() -> None:
    reader, friend, stranger = new.a_user(), new.a_user(), new.a_user()
    world = LineageWorld(reader_refs=[reader.id])
    world.counts.access_control.authorized_users = [friend.id]
    world.maps[0].access_control.public = True
    world.transform.code = [CodeReference(repository=REPOSITORY, commit=EARLIER)]
    await keep(*world.kept, reader, friend, stranger)

    async def seen(viewer: Viewer) -> set[str]:
        return {node["caption"] for node in (await impact(viewer))["nodes"]}

    everything = {"counts.csv", "map1.svg", "map2.svg"}
    assert await seen(ADMIN) == everything
    assert await seen(Viewer(Role.USER, world.owner.id)) == everything
    assert await seen(Viewer(Role.USER, reader.id)) == everything
    # They see an output, but not which code made it.
    for viewer in (Viewer(Role.USER, friend.id), Viewer(Role.USER, stranger.id), Viewer(Role.WORKER), ANONYMOUS):
        assert await impact(viewer) == NOTHING
    assert await impact(ANONYMOUS, REPOSITORY, EARLIER) == await impact(ADMIN, REPOSITORY, EARLIER)
    hidden, unknown = [await answer(QUERY, repository=REPOSITORY, commits=[one]) for one in (COMMIT, "e5" * 20)]
    assert hidden == unknown
