"""What every resolver is given: who asks, and what to read with."""

from dataclasses import dataclass

from starlette.requests import HTTPConnection

from graph.errors import HTTPRefusal, unauthenticated
from resolvers.authentication import Authenticator
from resolvers.reader import Reader
from resolvers.viewer import Unauthenticated


@dataclass
class Context:
    """The context of one request."""

    reader: Reader


class MakeContext:
    """Makes the context of a request from its credentials."""

    def __init__(self, authenticator: Authenticator) -> None:
        self._authenticator = authenticator

    async def __call__(self, connection: HTTPConnection) -> Context:
        """The context of a request. Raises HTTPRefusal 401 when its credentials cannot be accepted."""
        try:
            viewer = await self._authenticator.viewer(connection.headers.get("authorization"))
        except Unauthenticated as error:
            if error.temporary:
                raise HTTPRefusal(503, error.message, "UNAUTHENTICATED", {"Retry-After": "5"}) from error
            raise unauthenticated(error.message) from error
        return Context(Reader(viewer))
