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
    is_draining: Callable[[], bool]
    why_unready: Callable[[], str | None]

    async def __call__(self, request: Request) -> Response:
        status = "draining" if self.is_draining() else self.why_unready() or await self._database_status()
        code = 200 if status == "ready" else 503
        return JSONResponse({"status": status}, code, headers={"Cache-Control": "no-store"})

    async def _database_status(self) -> str:
        try:
            if await asyncio.wait_for(self.ready(), READINESS_TIMEOUT):
                return "ready"
        except TimeoutError:
            pass
        except Exception:
            log.warning("the database does not answer", exc_info=True)
        return "the database does not answer"
