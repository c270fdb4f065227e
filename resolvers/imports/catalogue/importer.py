"""Importing a catalogue from a folder: publishes the documents of pipelines in the order of their creation."""

import asyncio
from pathlib import Path

from resolvers.access.viewer import Viewer
from resolvers.imports.catalogue.catalogue_summary import CatalogueSummary
from resolvers.imports.catalogue.correct_publishers import correct_publishers
from resolvers.imports.catalogue.dataset_matching import Destinations
from resolvers.imports.catalogue.existing import follow_merges, read_existing
from resolvers.imports.catalogue.files import Progress, find_files
from resolvers.imports.catalogue.git_history import read_checkouts
from resolvers.imports.catalogue.identity import identify
from resolvers.imports.catalogue.pairing import match_pipelines
from resolvers.imports.catalogue.publish_documents import PipelineImport
from resolvers.imports.catalogue.sources import sources_first, sources_left_out

__all__ = ["CatalogueSummary", "import_catalogue"]

PIPELINES = "pipelines"


async def import_catalogue(
    folder: Path, viewer: Viewer, progress: Progress, *, history: bool = False
) -> CatalogueSummary:
    """Publish the documents below a folder that are not published yet; importing again publishes nothing.

    Documents that appeared together become one transform of their pipeline. A pipeline without documents becomes a
    resource without datasets. Each document is counted once: as taken if it was published, as already here if it
    equals a version, or as refused. With `history` the earlier states in git are published first, in their order.
    Raises OSError if the folder itself cannot be read.
    """
    # In threads: if the event loop stood still for half a minute, the driver would think that the database is silent.
    contents = await asyncio.to_thread(find_files, folder, progress)
    git_history = await asyncio.to_thread(read_checkouts, contents, progress, history=history)
    matched = match_pipelines(contents, git_history)
    identities, decisions = identify(matched.pipelines)
    summary = CatalogueSummary(others=contents.others)
    for refusal in (*contents.refused, *git_history.refused, *matched.refused):
        summary.refuse(*refusal)
    await follow_merges(identities)
    destinations = Destinations(identities, await read_existing(identities))
    for move in await correct_publishers(identities, destinations, viewer):
        summary.adjust(move.kind, move.file, [move.reason])
    for done, identity in enumerate(sources_first(identities), 1):
        await PipelineImport(identity, destinations, viewer, summary).run()
        progress(PIPELINES, done, len(identities))
    left_out = sources_left_out(identities, destinations)
    summary.add_adjustments([*git_history.adjusted, *matched.adjusted, *decisions, *destinations.decisions, *left_out])
    return summary
