"""Every step, in the order in which they run."""

from collections.abc import Sequence

from documents.migrations import (
    step_0002_waiting_activities,
    step_0003_names_of_objects,
    step_0004_no_secrets_in_urls,
    step_0005_frozen_inputs,
    step_0006_repositories,
    step_0007_names_of_documents,
)
from documents.migrations.step import Step

STEPS: tuple[Step, ...] = (
    step_0002_waiting_activities.STEP,
    step_0003_names_of_objects.STEP,
    step_0004_no_secrets_in_urls.STEP,
    step_0005_frozen_inputs.STEP,
    step_0006_repositories.STEP,
    step_0007_names_of_documents.STEP,
)

OLDEST_VERSION = 1
"""The version of a database that holds documents and no schema version."""


def newest_version(steps: Sequence[Step]) -> int:
    """The schema version that the last of the steps leads to."""
    return steps[-1].version if steps else OLDEST_VERSION
