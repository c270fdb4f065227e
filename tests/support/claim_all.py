"""A process that claims as long as something waits, and sends what it got.

It says when it is ready, and begins when it is answered, so that several begin together. When it has claimed once it
waits for another answer, so that none finds that a faster one has left it nothing.
"""

import asyncio
from multiprocessing.connection import Connection

from documents.mongo.database import make_client, open_database
from resolvers.activities.claim import claim_activity
from tests.support.runs import a_worker


def claim_all(number: int, url: str, name: str, meeting: Connection) -> None:
    """Claim in this process with eight workers at once until each has found nothing."""
    asyncio.run(_claim_all(number, url, name, meeting))


async def _claim_all(number: int, url: str, name: str, meeting: Connection) -> None:
    client = make_client(url)
    await open_database(client[name], indexes=False)
    claims: list[str] = []

    async def claimer(worker: int) -> None:
        while claimed := await _claim(number, worker):
            claims.append(claimed)

    _meet(meeting, "ready")
    _meet(meeting, await _claim(number, 0))

    await asyncio.gather(*(claimer(worker) for worker in range(8)))
    await client.close()
    meeting.send(claims)


def _meet(meeting: Connection, said: str | None) -> None:
    """Say something, and go on when it is answered."""
    meeting.send(said)
    meeting.recv()


async def _claim(number: int, worker: int) -> str | None:
    name = f"worker-{number}-{worker}"
    found = (await claim_activity(a_worker(number), worker=name, lease_seconds=600))["activity"]
    return found and str(found["_id"])
