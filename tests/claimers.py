"""A process that claims as long as something waits, and prints what it got: `python -m tests.claimers NUMBER`.

It prints a line when it is ready, and begins when it is sent one, so that several begin together.
"""

import asyncio
import os
import sys

from documents.database import make_client, open_database
from resolvers.claiming import claim_activity
from tests.runs import a_worker


async def claim_all(number: int) -> None:
    """Claim with eight workers at once until each has found nothing."""
    client = make_client(os.environ["URL"])
    await open_database(client[os.environ["NAME"]], indexes=False)

    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()

    async def claimer(worker: int) -> None:
        while claimed := await _claim(number, worker):
            sys.stdout.write(f"{claimed}\n")

    await asyncio.gather(*(claimer(worker) for worker in range(8)))
    await client.close()


async def _claim(number: int, worker: int) -> str | None:
    name = f"worker-{number}-{worker}"
    found = (await claim_activity(a_worker(number), worker=name, lease_seconds=600))["activity"]
    return found and str(found["_id"])


asyncio.run(claim_all(int(sys.argv[1])))
