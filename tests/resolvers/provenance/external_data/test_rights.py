"""Data that lies elsewhere, when the twin whose steps used it is published or given to somebody else."""

from typing import Any

import pytest

import documents
from documents.activities.activity import ActivityStatus
from documents.base import now
from documents.provenance.external_data import ExternalDataReport
from documents.provenance.used import Used
from resolvers.access.viewer import Role, Viewer
from resolvers.provenance.external_data import rights as module
from resolvers.twins import twin_rights
from tests.support import builders as new
from tests.support.builders import everything_kept, keep
from tests.support.runs import do

pytestmark = pytest.mark.usefixtures("database")

BEFORE = now()


class Twin:
    """A private twin whose step used a file that somebody else used as well; its other execution used nothing."""

    def __init__(self) -> None:
        self.owner, self.other = new.a_user(), new.a_user()
        self.twin = new.a_twin(self.owner)
        execution = new.an_execution(self.twin, status=ActivityStatus.SUCCEEDED)
        self.used, self.unused = new.external_data(self.other, self.owner), new.external_data(self.owner)
        self.used.reports = [
            ExternalDataReport(owner_ref=self.other.id, size_bytes=8, media_type="text/plain", at=BEFORE),
            ExternalDataReport(owner_ref=self.owner.id, size_bytes=7, media_type="text/csv", at=BEFORE),
        ]
        refs = [Used(ref="archive_1"), Used(ref=self.used.id), Used(ref="output_1")]
        steps = [new.a_step(execution, used=refs), new.a_step(execution, ordinal=1, used=refs)]
        self.kept: list[documents.Document] = [self.owner, self.other, self.twin, execution, *steps, self.used]
        self.kept += [
            self.unused,
            idle := new.an_execution(self.twin, status=ActivityStatus.CANCELLED),
            new.a_step(idle),
        ]

    async def publish(self, *, public: bool = True) -> Any:
        viewer = Viewer(Role.USER, self.owner.id)
        return await do("updateDigitalTwin", "digitalTwin { id }", viewer, id=self.twin.id, public=public)

    async def transfer(self, user: documents.User, **given: Any) -> Any:
        viewer = Viewer(Role.USER, self.owner.id)
        given |= {"id": self.twin.id, "ownerId": user.id}
        return await do("transferDigitalTwin", "digitalTwin { id }", viewer, **given)


@pytest.fixture
async def twin(database: Any) -> Twin:
    twin = Twin()
    await keep(*twin.kept)
    return twin


async def stored(data: documents.ExternalData) -> documents.ExternalData:
    row = await documents.ExternalData.get(data.id)
    assert row is not None
    return row


async def test_what_the_steps_of_a_twin_used_is_published_with_it_and_stays_so(twin: Twin) -> None:
    published = await twin.publish()
    used, unused = await stored(twin.used), await stored(twin.unused)
    hidden = await twin.publish(public=False)

    assert [payload["userErrors"] for payload in (published, hidden)] == [[], []]
    assert (used.public, used.size_bytes, used.media_type, used.created_at) == (True, 7, "text/csv", BEFORE)
    assert (used.owner_refs, used.reports) == (twin.used.owner_refs, twin.used.reports)
    assert unused == twin.unused
    assert await stored(twin.used) == used


async def test_what_is_public_already_stays_as_it_is(twin: Twin) -> None:
    facts = {"public": True, "size_bytes": 9, "created_at": BEFORE}
    await documents.ExternalData.find({"_id": twin.used.id}).update({"$set": facts})

    await twin.publish()

    used = await stored(twin.used)
    assert (used.size_bytes, used.media_type, used.created_at) == (9, "text/csv", BEFORE)


async def test_data_without_a_report_of_the_owner_is_published_as_told_of_now(twin: Twin) -> None:
    await documents.ExternalData.find({"_id": twin.used.id}).update({"$set": {"reports": []}})
    before = now()

    await twin.publish()

    used = await stored(twin.used)
    assert (used.public, used.size_bytes, used.media_type) == (True, None, None)
    assert used.created_at is not None
    assert before <= used.created_at <= now()


async def test_a_new_owner_sees_what_the_old_one_reported(twin: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
    ada, bob = new.a_user(), new.a_user()
    await keep(ada, bob)

    to_other = await twin.transfer(twin.other)
    kept = await stored(twin.used)
    await documents.DigitalTwin.find_all().update({"$set": {"userRef": twin.owner.id}})
    await documents.Step.find_all().update({"$set": {"ownerRef": twin.owner.id}})
    to_ada = await twin.transfer(ada)
    given = await stored(twin.used)
    monkeypatch.setattr(module, "MAX_REPORTS", 3)
    await documents.DigitalTwin.find_all().update({"$set": {"userRef": twin.owner.id}})
    to_bob = await twin.transfer(bob)

    assert [payload["userErrors"] for payload in (to_other, to_ada, to_bob)] == [[], [], []]
    assert kept == twin.used
    assert given.owner_refs == [*twin.used.owner_refs, ada.id]
    assert given.reports[2] == twin.used.reports[1].model_copy(update={"owner_ref": ada.id})
    assert (given.reports[:2], given.public) == (twin.used.reports, False)
    assert await stored(twin.used) == given


async def test_more_data_than_one_transaction_can_publish_is_refused(
    twin: Twin, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await everything_kept()

    # Two executions, three steps and one state of data.
    monkeypatch.setattr(twin_rights, "MAX_WORK", 6 * twin_rights.WORK_PER_ROW - 1)
    refused = await twin.publish()
    unchanged = await everything_kept()
    monkeypatch.setattr(twin_rights, "MAX_WORK", 6 * twin_rights.WORK_PER_ROW)
    published = await twin.publish()

    assert [error["code"] for error in refused["userErrors"]] == ["LIMIT_EXCEEDED"]
    assert unchanged == before
    assert published["userErrors"] == []
