"""Recording what an activity used: artifacts by their ids, and data by its URL."""

from typing import Any

import pytest

import documents
from documents.mongo.transaction import in_transaction
from documents.provenance.external_data import external_data_id
from documents.provenance.used import Used
from resolvers.access.viewer import Role, Viewer
from resolvers.provenance.external_data.external_state import PUBLIC, ExternalState, Reporter
from resolvers.provenance.used import record_external_data, record_used
from resolvers.user_errors import LimitExceeded, Refusals
from tests.support import builders as new
from tests.support.builders import everything_kept, keep

pytestmark = pytest.mark.usefixtures("database")

URL = "https://files.example/a.csv"
A, B = "0a" * 32, "0b" * 32


class Artifacts:
    """One artifact of each kind; the twin's are its owner's, the others are public."""

    def __init__(self) -> None:
        self.owner = new.a_user()
        step = new.a_step(execution := new.an_execution(new.a_twin(self.owner)))
        self.output = new.an_output(step, sha256=A)
        self.unhashed = new.an_output(step)
        self.result = new.a_result(execution, [self.output])
        self.version = documents.DatasetVersion(dataset_ref="dataset_1", label="v1", ordinal=1, distribution_ref="")
        self.distribution = documents.Distribution(
            dataset_ref="dataset_1", version_ref=self.version.id, csvw="{}", sha256="0c" * 32, size_bytes=2
        )
        self.version.distribution_ref = self.distribution.id
        instance = new.an_instance(public=True)
        self.archive = new.an_archive(instance, sha256=B)
        self.generation = new.a_generation(instance, content_hash="0d")
        self.elsewhere = new.external_data(self.owner, url=URL, version="1")
        self.kept: list[documents.Document] = [self.output, self.unhashed, self.result, self.version]
        self.kept += [self.distribution, self.archive, self.generation, self.elsewhere]
        self.viewer, self.reporter = Viewer(Role.USER, self.owner.id), Reporter(self.owner.id)


@pytest.fixture
async def artifacts(database: Any) -> Artifacts:
    artifacts = Artifacts()
    await keep(*artifacts.kept)
    return artifacts


async def record(artifacts: Artifacts, *values: Any, viewer: Viewer | None = None, **more: Any) -> Any:
    reporter = more.pop("reporter", artifacts.reporter)
    viewer = viewer or artifacts.viewer
    return await in_transaction(lambda session: record_used(values, reporter, viewer, session, "used", **more))


async def test_artifacts_of_all_kinds_are_named_by_their_ids(artifacts: Artifacts) -> None:
    named = [artifacts.output, artifacts.unhashed, artifacts.result, artifacts.version, artifacts.archive]
    named += [artifacts.generation, artifacts.elsewhere]

    used = await record(artifacts, *({"id": artifact.id} for artifact in named))

    assert used == [
        Used(ref=artifacts.output.id, sha256=A),
        Used(ref=artifacts.unhashed.id),
        Used(ref=artifacts.result.id),
        Used(ref=artifacts.distribution.id, sha256=artifacts.distribution.sha256),
        Used(ref=artifacts.archive.id, sha256=B),
        Used(ref=artifacts.generation.id, content_hash="0d"),
        Used(ref=artifacts.elsewhere.id),
    ]


async def test_data_elsewhere_is_assumed_where_its_state_is_not_told(artifacts: Artifacts) -> None:
    used = await record(
        artifacts,
        {"url": URL},
        {"url": URL, "version": "2"},
        {"url": URL, "sha256": A.upper(), "size_bytes": 0, "media_type": "text/csv"},
    )

    assert used == [
        Used(ref=external_data_id(URL, None, None), assumed=True),
        Used(ref=external_data_id(URL, "2", None)),
        Used(ref=external_data_id(URL, None, A), sha256=A),
    ]


async def test_an_artifact_that_is_named_twice_is_recorded_once(artifacts: Artifacts) -> None:
    used = await record(
        artifacts,
        {"id": artifacts.unhashed.id},
        {"id": artifacts.version.id},
        {"id": artifacts.distribution.id},
        {"id": artifacts.unhashed.id, "sha256": B},
        {"url": URL, "version": "1", "size_bytes": 7},
        {"id": artifacts.elsewhere.id},
    )

    assert [one.ref for one in used] == [artifacts.unhashed.id, artifacts.distribution.id, artifacts.elsewhere.id]
    assert used[0].sha256 == B


async def test_nothing_said_is_told_from_nothing_used(artifacts: Artifacts) -> None:
    assert await record(artifacts) == []
    nothing = await in_transaction(
        lambda session: record_used(None, artifacts.reporter, artifacts.viewer, session, "used")
    )
    assert nothing is None


async def test_everything_that_is_wrong_is_told_at_once_and_nothing_is_stored(artifacts: Artifacts) -> None:
    before = await everything_kept()
    wrong: list[dict[str, Any]] = [
        {},
        {"id": artifacts.output.id, "url": URL},
        {"version": "1"},
        {"id": artifacts.output.id, "version": "1"},
        {"id": artifacts.output.id, "size_bytes": 1},
        {"id": artifacts.output.id, "sha256": "0a"},
        {"url": "ftp://files.example/a"},
        {"url": URL, "version": ""},
        {"url": URL, "size_bytes": -1},
        {"url": URL, "media_type": "csv"},
    ]

    with pytest.raises(Refusals) as refused:
        await record(artifacts, *wrong, {"url": "https://files.example/b.csv"})

    assert [(one.error_code, one.path) for one in refused.value.refusals] == [
        ("VALIDATION", ("used", "0")),
        ("VALIDATION", ("used", "1")),
        ("VALIDATION", ("used", "2")),
        ("VALIDATION", ("used", "3", "version")),
        ("VALIDATION", ("used", "4", "sizeBytes")),
        ("VALIDATION", ("used", "5", "sha256")),
        ("VALIDATION", ("used", "6", "url")),
        ("VALIDATION", ("used", "7", "version")),
        ("VALIDATION", ("used", "8", "sizeBytes")),
        ("VALIDATION", ("used", "9", "mediaType")),
    ]
    assert await everything_kept() == before


async def test_hidden_artifacts_are_refused_as_unknown_ones_and_other_bytes_are_refused(artifacts: Artifacts) -> None:
    private = new.external_data(new.a_user(), url=URL, version="private")
    await keep(private)
    before = await everything_kept()

    with pytest.raises(Refusals) as refused:
        await record(
            artifacts,
            {"id": private.id},
            {"id": "external_none"},
            {"id": artifacts.owner.id},
            {"id": "x" * 200},
            {"id": artifacts.output.id, "sha256": B},
            {"id": artifacts.version.id, "sha256": B},
            {"id": artifacts.elsewhere.id, "sha256": B},
            {"id": artifacts.generation.id, "sha256": B},
            {"url": "https://files.example/b.csv"},
        )

    assert [(one.error_code, one.path[1:], one.message) for one in refused.value.refusals] == [
        ("NOT_FOUND", ("0", "id"), f"No Artifact with id {private.id}."),
        ("NOT_FOUND", ("1", "id"), "No Artifact with id external_none."),
        ("NOT_FOUND", ("2", "id"), f"No Artifact with id {artifacts.owner.id}."),
        ("NOT_FOUND", ("3", "id"), f"No Artifact with id {'x' * 100}…."),
        ("CHECKSUM_MISMATCH", ("4", "sha256"), f"{artifacts.output.id} has the SHA-256 {A}, not {B}."),
        (
            "CHECKSUM_MISMATCH",
            ("5", "sha256"),
            f"{artifacts.distribution.id} has the SHA-256 {artifacts.distribution.sha256}, not {B}.",
        ),
        (
            "VALIDATION",
            ("6", "sha256"),
            f"The SHA-256 of {artifacts.elsewhere.id} is unknown: give its url, version and sha256 instead.",
        ),
        (
            "VALIDATION",
            ("7", "sha256"),
            f"{artifacts.generation.id} is more than one file and has no SHA-256: leave sha256 out.",
        ),
    ]
    assert await everything_kept() == before


async def test_an_activity_may_name_again_what_it_is_known_to_use(artifacts: Artifacts) -> None:
    stranger = Viewer(Role.WORKER, token_id="token_1")
    known = [Used(ref=artifacts.output.id, sha256=A)]

    used = await record(artifacts, {"id": artifacts.output.id, "sha256": A}, viewer=stranger, known=known)
    with pytest.raises(Refusals, match=f"not {B}"):
        await record(artifacts, {"id": artifacts.output.id, "sha256": B}, viewer=stranger, known=known)

    assert used == known


async def test_data_that_a_public_activity_names_by_its_id_becomes_public(artifacts: Artifacts) -> None:
    used = await record(artifacts, {"id": artifacts.elsewhere.id}, reporter=PUBLIC)

    (row,) = (await everything_kept())["external_data"]
    assert [one.ref for one in used] == [row["_id"]]
    assert row["public"] is True


async def test_at_most_a_thousand_artifacts_are_recorded(artifacts: Artifacts) -> None:
    with pytest.raises(LimitExceeded) as refused:
        await record(artifacts, *[{"url": f"{URL}?{number}"} for number in range(1_001)])

    assert refused.value.path == ("used",)


async def test_the_server_itself_records_states_that_it_has_checked(artifacts: Artifacts) -> None:
    states = [ExternalState(URL, "3"), ExternalState(URL), ExternalState(URL, "3", size_bytes=7)]

    used = await in_transaction(lambda session: record_external_data(states, PUBLIC, session, declared=True))

    assert used == [
        Used(ref=states[0].id, declared=True),
        Used(ref=states[1].id, assumed=True, declared=True),
    ]
    rows = {row["_id"]: row for row in (await everything_kept())["external_data"]}
    assert (rows[states[0].id]["public"], rows[states[0].id]["size_bytes"]) == (True, 7)
