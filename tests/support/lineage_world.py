"""A lineage across the three families: reports become jobs, a step reads them, and a transform publishes its output."""

from datetime import UTC, datetime, timedelta
from typing import Any

import documents
from documents.activities.activity import ActivityStatus, CodeReference
from documents.provenance.used import Used
from tests.support import builders as new
from tests.support.builders import keep

START = datetime(2024, 3, 1, tzinfo=UTC)


class LineageWorld:
    """`reports` → `ingestion` → `generation` → `load` → `counts` → `draw` → `maps` → `transform` → `document`.

    `draw` reads `counts` and the generation; it had two attempts, each of which left one of `maps`. The result gathers
    `counts` and the second map. Everything of the twin and the instance is private, of one owner.
    """

    def __init__(self, **twin: Any) -> None:
        self.owner = new.a_user()
        self.instance = new.an_instance(self.owner)
        self.reports = [new.an_archive(self.instance, identifier=f"15018365{n}.0") for n in range(3)]
        self.generation = new.a_generation(self.instance, jobs=4759, archives=2)
        self.ingestion = new.an_ingestion(self.instance, self.generation, created_at=START)
        statuses = (ActivityStatus.SUCCEEDED, ActivityStatus.SUCCEEDED, ActivityStatus.FAILED)
        self.parts = [
            new.a_part(self.ingestion, report, status=status, holds=status is not ActivityStatus.FAILED, ended_at=START)
            for report, status in zip(self.reports, statuses, strict=True)
        ]
        self.twin = new.a_twin(self.owner, **twin)
        self.execution = new.an_execution(self.twin)
        self.load = new.a_step(
            self.execution,
            key="load",
            attempt=1,
            used=[Used(ref=self.generation.id)],
            parameters='{"YEAR": 2024}',
            created_at=START + timedelta(minutes=1),
        )
        self.counts = new.an_output(self.load, attempt=1, file_name="counts.csv")
        self.draw = new.a_step(
            self.execution,
            key="draw",
            ordinal=1,
            attempt=2,
            depends_on=[self.load.id],
            used=[Used(ref=self.generation.id), Used(ref=self.counts.id)],
            created_at=START,
        )
        self.maps = [new.an_output(self.draw, attempt=n, file_name=f"map{n}.svg") for n in (1, 2)]
        self.result = new.a_result(self.execution, [self.maps[1], self.counts], title="Maps")
        self.transform = documents.Transform(
            resource_ref="resource_0123456789abcdef01234567",
            code=[CodeReference(repository=new.REPOSITORY, path="maps/main.py", commit=new.COMMIT)],
            used=[Used(ref=self.maps[1].id)],
            created_at=START + timedelta(hours=1),
        )
        self.document = a_document(self.transform)

    @property
    def kept(self) -> list[documents.Document]:
        """Everything that is in it."""
        servers = [self.instance, *self.reports, self.generation, self.ingestion, *self.parts]
        twins = [self.twin, self.execution, self.load, self.counts, self.draw, *self.maps, self.result]
        return [self.owner, *servers, *twins, self.transform, self.document]

    async def begin(self) -> None:
        """Keep it."""
        await keep(*self.kept)


def a_document(transform: documents.Transform | None = None, **fields: Any) -> documents.Distribution:
    """The document of a version of a dataset, neither of which is kept."""
    return documents.Distribution(
        **{
            "dataset_ref": "dataset_0123456789abcdef01234567",
            "version_ref": "version_0123456789abcdef01234567",
            "dataset_name": "Maps of the city",
            "version_label": "v2",
            "csvw": '{"url": "maps.csv"}',
            "sha256": "0" * 64,
            "size_bytes": 19,
            "transform_ref": transform.id if transform else None,
            **fields,
        }
    )
