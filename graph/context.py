"""What every resolver is given: who asks, and what to read with."""

from dataclasses import dataclass

from graph.errors import HTTPRefusal, unauthenticated
from resolvers.authentication import Authenticator
from resolvers.reader import Budget, Reader
from resolvers.viewer import Role, Unauthenticated


@dataclass
class Context:
    """The context of one request."""

    reader: Reader

    @property
    def cost(self) -> dict[str, int]:
        """What the answer used so far, and what it may use."""
        return {"objects": self.reader.budget.spent, "allowed": self.reader.budget.objects}


class MakeContext:
    """Makes the context of a request from its credentials."""

    def __init__(self, authenticator: Authenticator, objects: int, anonymous_objects: int) -> None:
        self._authenticator = authenticator
        self._objects = objects
        self._anonymous_objects = anonymous_objects

    async def __call__(self, authorization: str | None) -> Context:
        """The context of a request with this header. Raises HTTPRefusal 401 when it cannot be accepted."""
        try:
            viewer = await self._authenticator.viewer(authorization)
        except Unauthenticated as error:
            if error.temporary:
                raise HTTPRefusal(503, error.message, "UNAUTHENTICATED", {"Retry-After": "5"}) from error
            raise unauthenticated(error.message) from error
        objects = self._anonymous_objects if viewer.role is Role.ANONYMOUS else self._objects
        return Context(Reader(viewer, Budget(objects)))
