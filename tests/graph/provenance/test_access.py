"""Who sees which part of where an artifact came from: nobody more than of the artifacts and activities themselves."""

from typing import Any

import pytest

from documents.provenance.used import Used
from resolvers.access.viewer import ANONYMOUS, Role, Viewer
from resolvers.provenance.listed_artifacts import LISTED
from resolvers.provenance.used_artifacts import USED
from resolvers.reads.cursor import encode_cursor, fingerprint
from tests.support import builders as new
from tests.support.asking import ADMIN, ask
from tests.support.builders import keep
from tests.support.lineage_world import LineageWorld

pytestmark = pytest.mark.usefixtures("database")

INSIDE = "nodes { caption } totalCount"
QUERY = f"""query ($map: ID!, $counts: ID!, $draw: ID!) {{
  map: node(id: $map) {{ ... on Artifact {{ caption provenance {{
    generatedBy {{ caption }} code {{ commit }} parameters derivedFrom {{ {INSIDE} }} gaps }} }} }}
  counts: node(id: $counts) {{ ... on Artifact {{ caption usedBy {{ {INSIDE} }} }} }}
  draw: node(id: $draw) {{ ... on Activity {{ caption used {{ {INSIDE} }} generated {{ {INSIDE} }} }} }} }}"""

JOBS, COUNTS, MAP1, MAP2 = "4,759 jobs from 2 reports", "counts.csv", "map1.svg", "map2.svg"


def what_is_seen(found: Any) -> dict[str, Any]:
    """The part of an answer that a viewer was shown, in short."""

    def inside(page: Any) -> list[str]:
        assert page["totalCount"] == len(page["nodes"])
        return [node["caption"] for node in page["nodes"]]

    map, counts, draw = found["map"], found["counts"], found["draw"]
    made = map and map["provenance"]
    return {
        "map": made and ((made["generatedBy"] or {}).get("caption"), inside(made["derivedFrom"]), made["gaps"]),
        "code and parameters": made and (len(made["code"]), made["parameters"]),
        "counts used by": counts and inside(counts["usedBy"]),
        "draw": draw and (inside(draw["used"]), inside(draw["generated"])),
    }


NOTHING = {"map": None, "code and parameters": None, "counts used by": None, "draw": None}
OUTPUTS_ALONE: dict[str, Any] = {"code and parameters": (0, None), "counts used by": [], "draw": None}
SEEN: dict[str, dict[str, Any]] = {
    "administrator": {
        "map": ("draw", [JOBS, COUNTS], []),
        "code and parameters": (1, {"COLOUR": "red"}),
        "counts used by": ["draw"],
        "draw": ([JOBS, COUNTS], [MAP1, MAP2]),
    },
    "owner of both": {
        "map": ("draw", [JOBS, COUNTS], []),
        "code and parameters": (1, {"COLOUR": "red"}),
        "counts used by": ["draw"],
        "draw": ([JOBS, COUNTS], [MAP1, MAP2]),
    },
    "reader of the twin": {
        "map": ("draw", [COUNTS], ["RESTRICTED"]),
        "code and parameters": (1, {"COLOUR": "red"}),
        "counts used by": ["draw"],
        "draw": ([COUNTS], [MAP1, MAP2]),
    },
    "worker that runs it": {
        "map": ("draw", [COUNTS], ["RESTRICTED"]),
        "code and parameters": (1, {"COLOUR": "red"}),
        "counts used by": ["draw"],
        "draw": ([COUNTS], [MAP1, MAP2]),
    },
    "reader of two outputs": {"map": (None, [], ["RESTRICTED"]), **OUTPUTS_ALONE},
    "worker elsewhere": NOTHING,
    "stranger": NOTHING,
    "anonymous": NOTHING,
    "anonymous, of public outputs": {"map": (None, [], ["RUN_UNKNOWN"]), **OUTPUTS_ALONE},
    "stranger, of public outputs": {"map": (None, [], ["RESTRICTED"]), **OUTPUTS_ALONE},
}
"""The parts that each viewer sees of a private twin with a step `draw`, which used jobs of a private instance."""


@pytest.mark.parametrize("who", SEEN)
async def test_each_viewer_sees_their_part(who: str) -> None:
    reader, friend = new.a_user(), new.a_user()
    world = LineageWorld(reader_refs=[reader.id])
    world.draw.parameters = '{"COLOUR": "red"}'
    outputs, running = [world.counts, *world.maps], Viewer(Role.WORKER, token_id="token_running")
    for one in (world.load, world.draw, *outputs):
        one.runners = [running.key]
    for output in (world.counts, world.maps[1]):
        output.access_control.authorized_users = [friend.id]
        output.access_control.public = "public" in who
    await keep(*world.kept, reader, friend)
    viewers = {
        "administrator": ADMIN,
        "owner of both": Viewer(Role.USER, world.owner.id),
        "reader of the twin": Viewer(Role.USER, reader.id),
        "reader of two outputs": Viewer(Role.USER, friend.id),
        "worker that runs it": running,
        "worker elsewhere": Viewer(Role.WORKER, token_id="token_elsewhere"),
        "stranger": Viewer(Role.USER, "user_none"),
        "anonymous": ANONYMOUS,
    }

    ids = {"map": world.maps[1].id, "counts": world.counts.id, "draw": world.draw.id}
    found = await ask(QUERY, viewers[who.partition(",")[0]], **ids)

    assert what_is_seen(found) == SEEN[who]


async def test_data_elsewhere_is_seen_through_a_run_that_is_seen() -> None:
    world = LineageWorld(public=True)
    world.counts.access_control.public = True
    data = new.external_data(world.owner, version="7")
    world.load.used = [Used(ref=data.id, assumed=True)]
    world.draw.used = [Used(ref=data.id)]
    world.draw.public = False
    await keep(*world.kept, data)
    inside = "nodes { id ... on ExternalData { version usedBy { nodes { caption } } } } totalCount"
    query = f"""query ($data: ID!, $load: ID!, $counts: ID!) {{ data: node(id: $data) {{ id }}
      load: node(id: $load) {{ ... on Step {{ used {{ {inside} }} }} }}
      counts: node(id: $counts) {{ ... on Output {{ provenance {{ derivedFrom {{ {inside} }} gaps }} }} }} }}"""

    found = await ask(query, ANONYMOUS, data=data.id, load=world.load.id, counts=world.counts.id)

    node = {"id": data.id, "version": "7", "usedBy": {"nodes": [{"caption": "load"}]}}
    used = {"nodes": [node], "totalCount": 1}
    assert found == {
        "data": None,
        "load": {"used": used},
        "counts": {"provenance": {"derivedFrom": used, "gaps": ["INPUTS_ASSUMED"]}},
    }


async def test_a_made_up_cursor_does_not_tell_whether_a_hidden_artifact_was_used() -> None:
    world = LineageWorld(public=True)
    world.counts.access_control.public = True
    await world.begin()
    query = """query ($id: ID!, $after: String) { node(id: $id) { ... on Activity {
      used(after: $after) { nodes { id } pageInfo { hasNextPage hasPreviousPage endCursor } totalCount } } } }"""
    # The jobs were used, before the counts that everybody sees; the map was not.
    hidden = [world.generation.id, world.maps[0].id, "output_none"]
    cursors = [encode_cursor({"_id": id}, LISTED, fingerprint(USED, LISTED, {})) for id in hidden]

    found = [await ask(query, ANONYMOUS, id=world.draw.id, after=cursor) for cursor in cursors]

    nothing = {"hasNextPage": False, "hasPreviousPage": True, "endCursor": None}
    assert found == [{"node": {"used": {"nodes": [], "pageInfo": nothing, "totalCount": 1}}}] * 3
