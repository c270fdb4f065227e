from collections.abc import Callable
from typing import Any

class Member:
    def __init__(
        self,
        before: bytes,
        shown: str,
        place: int = 0,
        *,
        missing: bytes | None = None,
        listed: bool = False,
        missing_item: bytes | None = None,
        names: dict[str, bytes] | None = None,
    ) -> None: ...

class Writer:
    def __init__(self, members: list[Member], fields: list[str], dumps: Callable[[Any], bytes]) -> None: ...
    def write(
        self, rows: list[Any], columns: list[list[Any]], times: list[int] | None, room: int
    ) -> tuple[list[bytes], int, int]: ...
