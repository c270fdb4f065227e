"""A process that claims as long as something waits, and prints what it got: `python -m tests.support.claimers NUMBER`.

It prints a line when it is ready, and begins when it is sent one, so that several begin together. When it has claimed
once it waits for another line, so that none finds that a faster one has left it nothing.
"""

import asyncio
import os
import sys

from documents.mongo.database import make_client, open_database
from resolvers.activities.claim import claim_activity
from tests.support.runs import a_worker


async def claim_all(number: int) -> None:
    """Claim with eight workers at once until each has found nothing."""
    client = make_client(os.environ["URL"])
    await open_database(client[os.environ["NAME"]], indexes=False)

    async def claimer(worker: int) -> None:
        while claimed := await _claim(number, worker):
            sys.stdout.write(f"{claimed}\n")

    _meet("ready")
    _meet(await _claim(number, 0))

    await asyncio.gather(*(claimer(worker) for worker in range(8)))
    await client.close()


def _meet(said: str | None) -> None:
    """Print a line, and go on when one is read."""
    sys.stdout.write(f"{said}\n")
    sys.stdout.flush()
    sys.stdin.readline()


async def _claim(number: int, worker: int) -> str | None:
    name = f"worker-{number}-{worker}"
    found = (await claim_activity(a_worker(number), worker=name, lease_seconds=600))["activity"]
    return found and str(found["_id"])


asyncio.run(claim_all(int(sys.argv[1])))
