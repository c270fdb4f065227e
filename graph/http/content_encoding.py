"""Request bodies compressed with gzip, by RFC 9110, section 8.4, and RFC 7694."""

import zlib

from graph.errors import LIMIT_EXCEEDED, HTTPError
from graph.http.complete_request import RawHeaders

GZIP = (b"gzip", b"x-gzip")
GZIP_WBITS = 16 + zlib.MAX_WBITS
"""zlib's `wbits` for a gzip header, with a check of the trailing checksum."""
IDENTITY_ONLY = {"Accept-Encoding": "identity"}
"""The header of responses with 415 where no compression is accepted."""


def is_gzip(headers: RawHeaders) -> bool:
    """Whether a body is compressed. Raises HTTPError 415 for encodings other than gzip."""
    coding = headers.get(b"content-encoding", b"identity").strip().lower()
    if coding in GZIP:
        return True
    if coding not in (b"identity", b""):
        name = coding[:50].decode("latin-1")
        raise HTTPError(
            415,
            f"The body has the Content-Encoding {name!r}. Send it with gzip, or as it is.",
            headers={"Accept-Encoding": "gzip, identity"},
        )
    return False


def decompress(body: bytes, limit: int) -> bytes:
    """The decompressed body. Raises HTTPError 400 for bad gzip, and 413 as soon as it exceeds `limit` bytes."""
    gzip = zlib.decompressobj(GZIP_WBITS)
    try:
        content = gzip.decompress(body, limit + 1)
    except zlib.error as error:
        raise HTTPError(400, f"The body is not gzip: {error}.") from None
    if len(content) > limit:
        raise HTTPError(413, f"The body is larger than {limit:,} bytes when decompressed.", LIMIT_EXCEEDED)
    if not gzip.eof:
        raise HTTPError(400, "The body ends before its gzip does.")
    if gzip.unused_data:
        raise HTTPError(400, "The body goes on after the end of its gzip; send one member.")
    return content
