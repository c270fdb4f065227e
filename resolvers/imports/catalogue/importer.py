"""Importing a catalogue from a folder: the documents that pipelines made, in the order in which they appeared."""

import asyncio
from pathlib import Path

from resolvers.access.viewer import Viewer
from resolvers.imports.catalogue.catalogue_summary import CatalogueSummary
from resolvers.imports.catalogue.correct_publishers import correct_publishers
from resolvers.imports.catalogue.dataset_matching import Places
from resolvers.imports.catalogue.existing import follow_merges, read_known
from resolvers.imports.catalogue.files import Progress, find_files
from resolvers.imports.catalogue.git_history import read_checkouts
from resolvers.imports.catalogue.identity import identify
from resolvers.imports.catalogue.pairing import pair
from resolvers.imports.catalogue.publish_documents import PipelineImport

__all__ = ["CatalogueSummary", "import_catalogue"]

PIPELINES = "pipelines"


async def import_catalogue(
    folder: Path, viewer: Viewer, progress: Progress, *, history: bool = False
) -> CatalogueSummary:
    """Publish the documents below a folder that are not published yet; importing again publishes nothing.

    Documents that appeared together are one transform of their pipeline. A pipeline without documents becomes a
    resource without datasets. Each document is counted once: imported when it was published, already here when it
    equals a version, or refused. With `history` the earlier states in git are published before them, in order. Raises
    OSError when the folder itself cannot be read.
    """
    # In threads: if the event loop stops for half a minute, the driver takes the database for silent.
    found = await asyncio.to_thread(find_files, folder, progress)
    told = await asyncio.to_thread(read_checkouts, found, progress, history=history)
    paired = pair(found, told)
    identities, decided = identify(paired.pipelines)
    summary = CatalogueSummary(others=found.others)
    for refusal in (*found.refused, *told.refused, *paired.refused):
        summary.refuse(*refusal)
    await follow_merges(identities)
    places = Places(identities, await read_known(identities))
    for moved in await correct_publishers(identities, places, viewer):
        summary.adjust(moved.kind, moved.file, [moved.reason])
    for done, identity in enumerate(identities, 1):
        await PipelineImport(identity, places, viewer, summary).run()
        progress(PIPELINES, done, len(identities))
    summary.adjust_taken([*told.adjusted, *paired.adjusted, *decided, *places.decided])
    return summary
