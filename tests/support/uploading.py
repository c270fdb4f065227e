"""Uploading as a client does: announce, send, register."""

import hashlib
from datetime import timedelta
from typing import Any

import documents
from documents.activities.activity import ActivityStatus
from documents.base import now
from resolvers.access.viewer import Viewer
from tests.support.asking import ask
from tests.support.builders import a_step, a_twin, an_execution, keep
from tests.support.storage import Place

ERRORS = "userErrors { __typename code message path ... on InvalidState { currentState allowedStates } }"
CREATE = f"""mutation ($input: CreateUploadInput!) {{ createUpload(input: $input) {{
  upload {{ id expiresAt target {{ url method headers expiresAt }} }} {ERRORS} }} }}"""
OUTPUT = """id fileName fileSize fileType sha256 bucket key metadata attempt revision type
  accessControl { public authorizedUsers { id } } downloadUrl { url method headers expiresAt } step { id }"""
REGISTER = f"""mutation ($input: RegisterOutputInput!) {{ registerOutput(input: $input) {{
  output {{ {OUTPUT} }} {ERRORS} }} }}"""
SHARE = f"""mutation ($input: UpdateOutputAccessInput!) {{ updateOutputAccess(input: $input) {{
  output {{ {OUTPUT} }} userErrors {{ code message path
    ... on RevisionConflict {{ expectedRevision currentRevision current {{ id }} }} }} }} }}"""


async def create(viewer: Viewer, content: bytes = b"a,b\n", **fields: Any) -> Any:
    """The payload of createUpload for these bytes."""
    given = {
        "purpose": "OUTPUT",
        "fileName": "data.csv",
        "mediaType": "text/csv",
        "sizeBytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        **fields,
    }
    return (await ask(CREATE, viewer, input=given))["createUpload"]


async def send(place: Place, upload: Any, content: bytes) -> None:
    """Store bytes at an upload's target."""
    target = upload["target"]
    answer = await place.request(target["method"], target["url"], content=content, headers=target["headers"])
    assert answer.status_code in (200, 201), answer.text


async def upload_bytes(place: Place, viewer: Viewer, content: bytes = b"a,b\n", **fields: Any) -> str:
    """Create an upload and send its bytes; returns its id."""
    upload = (await create(viewer, content, **fields))["upload"]
    await send(place, upload, content)
    id: str = upload["id"]
    return id


async def the_upload(id: str) -> Any:
    """An upload as it is kept now."""
    return await documents.Upload.get(id)


async def is_stored(place: Place, id: str) -> bool:
    """Whether the bucket has an upload's bytes."""
    return await place.bucket.stat((await the_upload(id)).key) is not None


async def register(viewer: Viewer, step: documents.Step, **fields: Any) -> Any:
    """The payload of registerOutput."""
    given = {"stepId": step.id, "fileName": "data.csv", **fields}
    return (await ask(REGISTER, viewer, input=given))["registerOutput"]


async def share(viewer: Viewer, id: str, **fields: Any) -> Any:
    """The payload of updateOutputAccess."""
    return (await ask(SHARE, viewer, input={"id": id, **fields}))["updateOutputAccess"]


async def a_running_step(owner: documents.User, *runners: str, public: bool = False, **fields: Any) -> documents.Step:
    """A step that runs, with all that stands above it. The first of the runners holds it."""
    twin = a_twin(owner, public=public)
    execution = an_execution(twin, runners=list(runners))
    lease = {"claimed_by": runners[0], "lease_expires_at": now() + timedelta(hours=1)} if runners else {}
    running = {"status": ActivityStatus.RUNNING, "attempt": 1, "runners": list(runners), **lease}
    step = a_step(execution, **running | fields)
    await keep(owner, twin, execution, step)
    return step


def refusal_of(payload: Any) -> tuple[str, list[str]]:
    """Code and path of the one refusal."""
    (error,) = payload["userErrors"]
    return error["code"], error["path"]
