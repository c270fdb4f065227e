"""The context of a request: the viewer, and the loader that resolvers use."""

from dataclasses import dataclass

import pymongo

from graph.errors import UNAVAILABLE, HTTPError, unauthenticated
from graph.limits import REQUEST_TIMEOUT
from resolvers.access.authentication import Authenticator
from resolvers.access.viewer import Role, Unauthenticated, Viewer
from resolvers.reads.answer_budget import AnswerBudget, AnswerLimits
from resolvers.reads.loaders import RequestLoader


@dataclass
class Context:
    """The context of one request."""

    loader: RequestLoader

    @property
    def cost(self) -> dict[str, int]:
        """The answer's budget: how much it has used and may use."""
        budget = self.loader.budget
        return {
            "objects": budget.objects,
            "allowed": budget.limits.objects,
            "bytes": budget.bytes,
            "allowedBytes": budget.limits.bytes,
        }


class MakeContext:
    """Makes the context of a request from its credentials."""

    def __init__(self, authenticator: Authenticator, limits: AnswerLimits, anonymous_limits: AnswerLimits) -> None:
        self._authenticator = authenticator
        self._limits = limits
        self._anonymous_limits = anonymous_limits

    async def __call__(self, authorization: str | None) -> Context:
        """The context of a request with this header. Raises HTTPError 401 when it cannot be accepted."""
        try:
            viewer = self._authenticator.viewer_without_lookup(authorization) or await self._viewer(authorization)
        except Unauthenticated as error:
            if error.temporary:
                raise HTTPError(503, error.message, UNAVAILABLE, {"Retry-After": "5"}) from error
            raise unauthenticated(error.message) from error
        limits = self._anonymous_limits if viewer.role is Role.ANONYMOUS else self._limits
        return Context(RequestLoader(viewer, AnswerBudget(limits)))

    async def _viewer(self, authorization: str | None) -> Viewer:
        # PyMongo would otherwise retry for minutes while the database is down.
        with pymongo.timeout(REQUEST_TIMEOUT):
            return await self._authenticator.viewer(authorization)
