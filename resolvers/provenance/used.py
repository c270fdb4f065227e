"""Recording what activities used: artifacts of ours by their ids, and data that lies elsewhere by its URL."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypedDict

from documents.mongo.transaction import Session
from documents.provenance.used import Used
from resolvers.access.viewer import Viewer
from resolvers.limits import MAX_USED_ARTIFACTS
from resolvers.provenance.artifacts import Artifact, artifacts_by_id
from resolvers.provenance.external_data.external_state import ExternalState, Reporter, upsert_external_data
from resolvers.provenance.external_data.external_url import check_external_url
from resolvers.storage.upload import check_media_type, check_sha256
from resolvers.user_errors import InvalidInput, LimitExceeded, NotFound, Refusal, Refusals, collect_refusals
from resolvers.validators import check_line


class UsedValues(TypedDict, total=False):
    """An artifact that an activity used, as a client names it: by its id, or by a URL and which state was there.

    `step_key` is for outputs that a step is told to fetch.
    """

    id: str | None
    url: str | None
    version: str | None
    sha256: str | None
    size_bytes: int | None
    media_type: str | None
    step_key: str | None


class NamedArtifact(NamedTuple):
    """An artifact that a client named, in the form stored with an activity; and its state, if it lies elsewhere."""

    used: Used
    state: ExternalState | None


async def record_used(
    values: Sequence[UsedValues] | None,
    reporter: Reporter,
    viewer: Viewer,
    session: Session,
    *path: str,
    known: Iterable[Used] = (),
) -> list[Used] | None:
    """Store the data elsewhere that an activity used on behalf of `reporter`; returns all that it used, each artifact
    once, in the form stored with it. None where nothing is said.

    Artifacts must be readable by `viewer`, except those that the activity is `known` to use. For the server itself the
    viewer is an administrator. Raises LimitExceeded, and Refusals with everything that is wrong.
    """
    named = await named_artifacts(values, viewer, session, *path, known=known)
    if named is None:
        return None
    await upsert_external_data(external_states(named), reporter, session)
    return unique_used(artifact.used for artifact in named)


async def record_external_data(
    states: Sequence[ExternalState], reporter: Reporter, session: Session, *, declared: bool = False
) -> list[Used]:
    """Store data elsewhere that an activity used; returns it in the form stored with the activity, each state once.

    For callers that have the normal form of the URLs: see `external_url`.
    """
    await upsert_external_data(states, reporter, session)
    return unique_used(state.used(declared=declared) for state in states)


async def named_artifacts(
    values: Sequence[UsedValues] | None, viewer: Viewer, session: Session, *path: str, known: Iterable[Used] = ()
) -> list[NamedArtifact] | None:
    """The artifacts that a client named. Nothing is stored. Raises as `record_used` does."""
    if values is None:
        return None
    check_count(values, *path)
    artifacts = {used.ref: Artifact(used.ref, used.sha256) for used in known}
    artifacts |= await artifacts_by_id(named_ids(values), viewer, session)
    refusals: list[Refusal] = []
    named: list[NamedArtifact] = []
    for number, value in enumerate(values):
        with collect_refusals(refusals):
            check_no_step_key(value, *path, str(number))
            named.append(named_artifact(value, artifacts, *path, str(number)))
    if refusals:
        raise Refusals(refusals)
    return named


def named_artifact(
    value: UsedValues, artifacts: dict[str, Artifact], *path: str, declared: bool = False
) -> NamedArtifact:
    """The artifact that one entry names, among those that the viewer may read.

    Raises InvalidInput, NotFound, ChecksumMismatch, and Refusals.
    """
    id, url = value.get("id"), value.get("url")
    if (id is None) == (url is None):
        raise InvalidInput(f"Give either id or url{'' if id is None else ', not both'}.", *path)
    sha256 = None if value.get("sha256") is None else check_sha256(str(value["sha256"]), *path, "sha256")
    if id is None:
        state = _external_state(value, str(url), sha256, *path)
        return NamedArtifact(state.used(declared=declared), state)
    _check_only_of_urls(value, id, *path)
    if id not in artifacts:
        raise NotFound("Artifact", id, *path, "id")
    artifact = artifacts[id]
    sha256 = artifact.checked_sha256(sha256, *path, "sha256")
    if artifact.state is not None:
        return NamedArtifact(artifact.state.used(declared=declared), artifact.state)
    used = Used(ref=artifact.id, sha256=sha256, content_hash=artifact.content_hash, declared=declared)
    return NamedArtifact(used, None)


def _check_only_of_urls(value: UsedValues, id: str, *path: str) -> None:
    """Raise InvalidInput for an entry with an id that also tells what only entries with a URL may tell."""
    for name, field in (("version", "version"), ("size_bytes", "sizeBytes"), ("media_type", "mediaType")):
        if value.get(name) is not None:
            raise InvalidInput(f"{field} is only for data at a url, not for {id[:100]}.", *path, field)


def named_ids(values: Iterable[UsedValues]) -> set[str]:
    """The ids that a client named."""
    return {id for value in values if (id := value.get("id")) is not None}


def check_count(values: Sequence[UsedValues], *path: str) -> None:
    """Raise LimitExceeded for more artifacts than may be named at once."""
    if len(values) > MAX_USED_ARTIFACTS:
        message = f"{len(values):,} artifacts are too many; at most {MAX_USED_ARTIFACTS:,} are allowed."
        raise LimitExceeded(message, *path)


def check_no_step_key(value: UsedValues, *path: str) -> None:
    """Raise InvalidInput for a step key of what no worker fetches."""
    if value.get("step_key") is not None:
        raise InvalidInput("stepKey is only for outputs that a new step is to fetch: leave it out.", *path, "stepKey")


def external_states(named: Iterable[NamedArtifact]) -> list[ExternalState]:
    """The states of data elsewhere, those named by an id too: a public activity makes them public."""
    return [artifact.state for artifact in named if artifact.state is not None]


def unique_used(used: Iterable[Used]) -> list[Used]:
    """Each artifact once, where it comes first, with the first hash that is given."""
    by_ref: dict[str, Used] = {}
    for one in used:
        first = by_ref.setdefault(one.ref, one)
        if first.sha256 is None and one.sha256 is not None:
            by_ref[one.ref] = first.model_copy(update={"sha256": one.sha256})
    return list(by_ref.values())


def _external_state(value: UsedValues, url: str, sha256: str | None, *path: str) -> ExternalState:
    """The state that an entry names. Raises Refusals with everything that is wrong with it."""
    refusals: list[Refusal] = []
    version, size_bytes, media_type = value.get("version"), value.get("size_bytes"), value.get("media_type")
    with collect_refusals(refusals):
        url = check_external_url(url, *path, "url")
    with collect_refusals(refusals):
        version = check_line(version, *path, "version")
    with collect_refusals(refusals):
        if size_bytes is not None and size_bytes < 0:
            raise InvalidInput(f"sizeBytes must not be negative, as {size_bytes} is.", *path, "sizeBytes")
    with collect_refusals(refusals):
        media_type = None if media_type is None else check_media_type(media_type, *path, "mediaType")
    if refusals:
        raise Refusals(refusals)
    return ExternalState(url, version, sha256, size_bytes, media_type)
