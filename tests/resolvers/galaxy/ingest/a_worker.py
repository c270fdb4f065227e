"""An ingest worker with a lease of its own, as a process: `python -m tests.resolvers.galaxy.ingest.a_worker …`.

Arguments: the database's address and name, the folder that is the bucket, the worker's name, seconds of the lease.
"""

import asyncio
import sys
from datetime import timedelta
from pathlib import Path

from documents.mongo.database import make_client, open_database
from documents.storage.bucket import open_bucket
from documents.storage.folder_bucket import FolderBucket
from resolvers.galaxy.ingest.poll_loop import ingest


async def take_reports(url: str, database: str, folder: str, name: str, seconds: str) -> None:
    """Take reports until killed."""
    open_bucket(FolderBucket(Path(folder)))
    client = make_client(url)
    await open_database(client[database], indexes=False)
    await ingest(asyncio.Event(), name=name, poll=0.1, lease=timedelta(seconds=float(seconds)))


def main() -> None:
    """Be a worker until killed."""
    asyncio.run(take_reports(*sys.argv[1:]))


if __name__ == "__main__":
    main()
