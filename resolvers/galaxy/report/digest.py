"""A digest of rows that does not depend on their order, or on how they were batched."""

import hashlib
from collections.abc import Iterable

DIGEST_BYTES = 16
MODULUS = 1 << 8 * DIGEST_BYTES


def row_digest(core: bytes) -> bytes:
    """The digest of one row: the first 16 bytes of SHA-256 over its stored fields from external_id to parameters.

    Common fields, such as the ids of generation and archive, are left out, so that equal jobs have equal digests.
    """
    return hashlib.sha256(core).digest()[:DIGEST_BYTES]


class RowsDigest:
    """The sum of row digests modulo 2^128, so that sums of parts can be added, and rows taken away again."""

    def __init__(self, text: str = "0") -> None:
        self.value = int(text, 16)

    def add(self, digests: Iterable[bytes]) -> None:
        """Add rows."""
        self.value = (self.value + sum(int.from_bytes(digest, "big") for digest in digests)) % MODULUS

    def remove(self, digests: Iterable[bytes]) -> None:
        """Subtract rows that were added before."""
        self.value = (self.value - sum(int.from_bytes(digest, "big") for digest in digests)) % MODULUS

    def merge(self, other: "RowsDigest") -> None:
        """Add all rows of another sum."""
        self.value = (self.value + other.value) % MODULUS

    def __str__(self) -> str:
        """The sum as 32 hexadecimal digits."""
        return f"{self.value:032x}"
