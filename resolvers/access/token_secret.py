"""The secrets of API tokens: made, recognised, and hashed. A secret is shown once, and only its hash is stored."""

import hashlib
import secrets
import zlib

PREFIX = "pg_"

# Letters and digits only, so that a double click selects the whole secret.
BASE62_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def new_secret() -> str:
    """A secret: `pg_`, 32 random bytes, `_`, and a checksum that exposes a mistyped or invented one without a lookup.

    The form is that of GitHub's tokens: a prefix that secret scanners can search for, and a CRC-32, all in base 62.
    """
    random = _base62(int.from_bytes(secrets.token_bytes(32)), 43)
    return f"{PREFIX}{random}_{_checksum(random)}"


def is_well_formed(secret: str) -> bool:
    """Whether the text has the form and checksum of a secret made by `new_secret`."""
    random, _, checksum = secret.removeprefix(PREFIX).partition("_")
    return secret.startswith(PREFIX) and secret.isascii() and len(random) == 43 and checksum == _checksum(random)


def hash_of(secret: str) -> str:
    """The SHA-256 of a secret, in hexadecimal."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _checksum(random: str) -> str:
    """The CRC-32 of a secret's random part, as six digits of base 62."""
    return _base62(zlib.crc32(random.encode()), 6)


def _base62(number: int, length: int) -> str:
    digits = ""
    while number:
        number, remainder = divmod(number, 62)
        digits = BASE62_DIGITS[remainder] + digits
    return digits.rjust(length, BASE62_DIGITS[0])
