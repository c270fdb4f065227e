"""Support for the tests of the catalogue: queries, and reports such as pipelines send."""

import json
from typing import Any

import orjson

from documents.mongo.database import Database
from resolvers.access.viewer import ANONYMOUS, Role, Viewer
from tests.support.asking import by_reference

Answer = dict[str, Any]

WORKER = Viewer(Role.WORKER)
ADMIN = Viewer(Role.ADMIN)
STRANGER = Viewer(Role.USER, "user_000000000000000000000001")

COLLECTIONS = ("organisations", "resources", "datasets", "dataset_versions", "distributions", "transforms")

NOTHING = dict.fromkeys(COLLECTIONS, 0)
"""The counts of an empty catalogue."""

USER_ERRORS = """userErrors { __typename code message path
  ... on InvalidState { currentState allowedStates }
  ... on RevisionConflict { expectedRevision currentRevision current { id ... on Resource { title revision } } } }"""

INGEST = f"""mutation ($input: IngestTransformInput!) {{ ingestTransform(input: $input) {{
  resource {{ id }} transform {{ id }} published {{ id label ordinal }} {USER_ERRORS} }} }}"""


REQUEST = f"""mutation ($input: RequestTransformInput!) {{ requestTransform(input: $input) {{
  transform {{ id status attempt startedAt cause {{ kind files message }} code {{ repository path commit }} }}
  {USER_ERRORS} }} }}"""


async def ask_text(query: str, viewer: Viewer = ANONYMOUS, **variables: Any) -> str:
    """The answer's data as it goes over the wire."""
    answer = await by_reference(query, viewer, **variables)
    assert "errors" not in answer, answer["errors"]
    return orjson.dumps(answer["data"]).decode()


async def ask(query: str, viewer: Viewer = ANONYMOUS, **variables: Any) -> Answer:
    """The answer's data."""
    answer: Answer = json.loads(await ask_text(query, viewer, **variables))
    return answer


async def do(query: str, viewer: Viewer = WORKER, **input: Any) -> Answer:
    """The payload of a mutation, whichever it is."""
    (payload,) = (await ask(query, viewer, input=input)).values()
    found: Answer = payload
    return found


async def ingest(viewer: Viewer = WORKER, **changes: Any) -> Answer:
    """The payload of `ingestTransform` with a report like `report`."""
    return await do(INGEST, viewer, **report(**changes))


async def counts(database: Database) -> dict[str, int]:
    """The number of stored documents of the catalogue, by collection."""
    return {name: await database[name].count_documents({}) for name in COLLECTIONS}


def report(**changes: Any) -> Answer:
    """The report of a pipeline with some changes; a change to None removes a field."""
    usual: Answer = {
        "organisationUrl": "https://statistics.example/office",
        "organisationName": "Office of Examples",
        "landingPage": "https://statistics.example/births",
        "codeRepo": code_repo(),
        "distributions": [{"csvwText": csvw("births")}],
    }
    return {name: value for name, value in (usual | changes).items() if value is not None}


def code_repo(directory: str = "datasets/births", commit: str = "a1" * 20, **changes: Any) -> Answer:
    """The code that a report names: a pipeline of two files."""
    usual: Answer = {
        "url": "https://code.example/family",
        "source": [
            {"path": f"{directory}/main.py".lstrip("/"), "commit": commit},
            {"path": f"{directory}/info.json".lstrip("/"), "commit": "b2" * 20},
        ],
    }
    return usual | changes


def csvw(name: str, **facts: Any) -> str:
    """The text of a CSV-W document whose table is `<name>.csv`."""
    columns = [{"name": "period", "titles": "Period", "datatype": "gYear", "required": True}, {"name": "value"}]
    document = {"@context": "http://www.w3.org/ns/csvw", "url": f"{name}.csv", "tableSchema": {"columns": columns}}
    return json.dumps(document | facts)
