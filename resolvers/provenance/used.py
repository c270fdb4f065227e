"""Recording what activities used: artifacts of ours by their ids, and data that lies elsewhere by its URL."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypedDict

from documents.mongo.transaction import Session
from documents.provenance.used import Used
from resolvers.access.viewer import Viewer
from resolvers.limits import MAX_USED_ARTIFACTS
from resolvers.provenance.artifacts import Artifact, artifacts_by_id
from resolvers.provenance.external_data import ExternalState, Reporter, upsert_external_data
from resolvers.provenance.external_url import check_external_url
from resolvers.storage.upload import check_media_type, check_sha256
from resolvers.user_errors import InvalidInput, LimitExceeded, NotFound, Refusal, Refusals, collect_refusals
from resolvers.validators import check_line


class UsedValues(TypedDict, total=False):
    """An artifact that an activity used, as a client names it: by its id, or by a URL and which state was there."""

    id: str | None
    url: str | None
    version: str | None
    sha256: str | None
    size_bytes: int | None
    media_type: str | None


class UsedArtifact(NamedTuple):
    """An artifact named by its id, and the SHA-256 that its bytes should have. `path` leads to its entry."""

    id: str
    sha256: str | None
    path: tuple[str, ...]

    def used(self, artifacts: dict[str, Artifact], *, declared: bool = False) -> Used:
        """The artifact as an activity uses it. Raises NotFound, ChecksumMismatch and InvalidInput."""
        artifact = artifacts.get(self.id)
        if artifact is None:
            raise NotFound("Artifact", self.id, *self.path, "id")
        sha256 = artifact.checked_sha256(self.sha256, *self.path, "sha256")
        if artifact.state is not None:
            return artifact.state.used(declared=declared)
        return Used(ref=artifact.id, sha256=sha256, declared=declared)


UsedEntry = UsedArtifact | ExternalState


async def record_used(
    values: Sequence[UsedValues] | None,
    reporter: Reporter,
    viewer: Viewer,
    session: Session,
    *path: str,
    known: Iterable[Used] = (),
) -> list[Used] | None:
    """What an activity used, in the form stored with it, each artifact once; None where nothing is said.

    Data at URLs is stored on behalf of `reporter`. Artifacts must be readable by `viewer`, except those that the
    activity is `known` to use. For the server itself the viewer is an administrator. Raises Refusals with everything
    that is wrong.
    """
    if values is None:
        return None
    entries = check_used(values, *path)
    artifacts = {used.ref: Artifact(used.ref, used.sha256) for used in known}
    artifacts |= await artifacts_by_id(artifact_ids(entries), viewer, session)
    used = resolve_used(entries, artifacts)
    await upsert_external_data(external_states(entries, artifacts), reporter, session)
    return used


async def record_external_data(
    states: Sequence[ExternalState], reporter: Reporter, session: Session, *, declared: bool = False
) -> list[Used]:
    """Data at URLs in the form stored with an activity that used it, each state once. For callers that have checked
    the URLs: see `external_url`."""
    await upsert_external_data(states, reporter, session)
    return unique_used(state.used(declared=declared) for state in states)


def check_used(values: Sequence[UsedValues], *path: str) -> list[UsedEntry]:
    """The entries that a client gave, checked as far as they can be without the database. Raises Refusals."""
    if len(values) > MAX_USED_ARTIFACTS:
        raise LimitExceeded(
            f"{len(values):,} artifacts are too many; at most {MAX_USED_ARTIFACTS:,} are allowed.", *path
        )
    refusals: list[Refusal] = []
    entries: list[UsedEntry] = []
    for number, value in enumerate(values):
        with collect_refusals(refusals):
            entries.append(check_entry(value, *path, str(number)))
    if refusals:
        raise Refusals(refusals)
    return entries


def check_entry(value: UsedValues, *path: str) -> UsedEntry:
    """One entry that a client gave. Raises InvalidInput."""
    id, url = value.get("id"), value.get("url")
    if (id is None) == (url is None):
        raise InvalidInput(f"Give either id or url{'' if id is None else ', not both'}.", *path)
    sha256 = value.get("sha256")
    sha256 = None if sha256 is None else check_sha256(sha256, *path, "sha256")
    if url is not None:
        return _external_state(value, url, sha256, *path)
    for name, field in (("version", "version"), ("size_bytes", "sizeBytes"), ("media_type", "mediaType")):
        if value.get(name) is not None:
            raise InvalidInput(f"{field} is only for data at a url, not for {id}.", *path, field)
    return UsedArtifact(str(id), sha256, path)


def artifact_ids(entries: Iterable[UsedEntry]) -> set[str]:
    """The ids that entries name."""
    return {entry.id for entry in entries if isinstance(entry, UsedArtifact)}


def external_states(entries: Iterable[UsedEntry], artifacts: dict[str, Artifact]) -> list[ExternalState]:
    """The states of data elsewhere that entries name, by URL or by id: whoever reports them makes them theirs."""
    named = (artifacts[entry.id].state if isinstance(entry, UsedArtifact) else entry for entry in entries)
    return [state for state in named if state is not None]


def resolve_used(entries: Iterable[UsedEntry], artifacts: dict[str, Artifact], *, declared: bool = False) -> list[Used]:
    """The entries in the form stored with an activity, each artifact once. Raises Refusals."""
    refusals: list[Refusal] = []
    used: list[Used] = []
    for entry in entries:
        with collect_refusals(refusals):
            used.append(
                entry.used(artifacts, declared=declared)
                if isinstance(entry, UsedArtifact)
                else entry.used(declared=declared)
            )
    if refusals:
        raise Refusals(refusals)
    return unique_used(used)


def unique_used(used: Iterable[Used]) -> list[Used]:
    """Each artifact once, where it comes first, with the first hash that is told."""
    by_ref: dict[str, Used] = {}
    for one in used:
        first = by_ref.setdefault(one.ref, one)
        if first.sha256 is None and one.sha256 is not None:
            by_ref[one.ref] = first.model_copy(update={"sha256": one.sha256})
    return list(by_ref.values())


def _external_state(value: UsedValues, url: str, sha256: str | None, *path: str) -> ExternalState:
    size_bytes, media_type = value.get("size_bytes"), value.get("media_type")
    if size_bytes is not None and size_bytes < 0:
        raise InvalidInput(f"sizeBytes must not be negative, as {size_bytes} is.", *path, "sizeBytes")
    return ExternalState(
        url=check_external_url(url, *path, "url"),
        version=check_line(value.get("version"), *path, "version"),
        sha256=sha256,
        size_bytes=size_bytes,
        media_type=None if media_type is None else check_media_type(media_type, *path, "mediaType"),
    )
