"""The sample's lineage across all families: a step reads the jobs of the Galaxy, and its output is published.

reports → ingestion → generation of jobs → step → output → transform → document
"""

from collections.abc import Callable
from datetime import UTC, datetime

import documents
from documents.activities.activity import ActivityStatus
from documents.galaxy.generation import GenerationStatus
from resolvers.demo_data.galaxy_servers import INSTANCE_UUID
from resolvers.demo_data.statistics_office import publish
from resolvers.demo_data.twins import (
    SampleStep,
    find_or_store_researcher,
    register_components,
    store_execution,
    store_twin,
)

TWIN = "Computing of a Galaxy"
FILE = "tool-hours.csv"
PUBLICATION = {"name": "Computing in research", "page": "computing", "year": 2025, "files": ["computing"]}


async def store_tool_load(say: Callable[[str], None]) -> bool:
    """Store the twin, its run and the publication; returns whether they had to be stored. Without the Galaxy there is
    nothing that they could be made from."""
    instance = await documents.Instance.find_one(documents.Instance.uuid == INSTANCE_UUID)
    if instance is None or await _is_stored():
        return False
    current = {"instanceRef": instance.id, "status": GenerationStatus.ACTIVE.value}
    generation = await documents.Generation.find_one(current)
    if generation is None:
        return False
    say("Storing sample data: a publication made from jobs of the Galaxy …")
    twin = await store_twin(await find_or_store_researcher(), TWIN, public=True)
    step = SampleStep("tool-load", ActivityStatus.SUCCEEDED, file=FILE, used=[{"id": generation.id}])
    started_at = datetime(2025, 1, 14, 9, 0, tzinfo=UTC)
    releases = await register_components()
    await store_execution(twin, "Hours by tool and month", step.status, [step], releases, started_at)
    output = await documents.Output.find_one(documents.Output.file_name == FILE)
    await publish(PUBLICATION, [{"id": output.id}] if output else None)
    return True


async def _is_stored() -> bool:
    """Whether the twin or its output is stored, even if somebody has renamed one of them since."""
    twin = await documents.DigitalTwin.find_one(documents.DigitalTwin.name == TWIN)
    return twin is not None or await documents.Output.find_one(documents.Output.file_name == FILE) is not None
