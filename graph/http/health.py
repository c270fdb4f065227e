"""Health checks: liveness and readiness."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

READINESS_TIMEOUT = 0.9
"""Seconds for the database to answer; a probe is answered within one second."""

log = structlog.stdlib.get_logger("graph.health")


async def livez(request: Request) -> Response:
    """200 for as long as the process answers at all."""
    return JSONResponse({"status": "alive"}, headers={"Cache-Control": "no-store"})


@dataclass
class Readiness:
    """Answers 200 when the server accepts work, 503 with the reason when it does not.

    It does not while it stops, while it may not use its database, and while the database does not answer.
    """

    ready: Callable[[], Awaitable[bool]]
    draining: Callable[[], bool]
    unready: Callable[[], str | None]

    async def __call__(self, request: Request) -> Response:
        status = "draining" if self.draining() else self.unready() or await self._database()
        code = 200 if status == "ready" else 503
        return JSONResponse({"status": status}, code, headers={"Cache-Control": "no-store"})

    async def _database(self) -> str:
        try:
            answered = await asyncio.wait_for(self.ready(), READINESS_TIMEOUT)
        except TimeoutError:
            answered = False
        except Exception:
            log.warning("the database does not answer", exc_info=True)
            answered = False
        return "ready" if answered else "the database does not answer"
