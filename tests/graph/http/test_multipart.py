"""Multipart bodies: what is read of them, and what is said of those that are not valid."""

from collections.abc import AsyncIterator

import pytest

from graph.http.multipart import MAX_HEADERS, MAX_PARTS, MultipartError, MultipartReader
from tests.support.galaxies import BOUNDARY, multipart

FORM = f"multipart/form-data; boundary={BOUNDARY}"
HEAD = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="a"'.encode()


async def in_pieces(body: bytes, size: int = 7) -> AsyncIterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


async def parts_of(body: bytes, content_type: str = FORM) -> list[tuple[str, bytes]]:
    """The names and contents of the parts."""
    parts = MultipartReader(content_type, in_pieces(body))
    return [(part.name, b"".join([chunk async for chunk in part.chunks()])) async for part in parts]


async def test_parts_are_read_by_name_or_skipped() -> None:
    body = multipart([('name="a"', b"1"), ('name="b"; filename="b.csv"', b"x" * 100), ('name="c"', b"")])

    read = await parts_of(body)
    skipped = [part.name async for part in MultipartReader(FORM, in_pieces(body))]

    assert read == [("a", b"1"), ("b", b"x" * 100), ("c", b"")]
    assert skipped == ["a", "b", "c"]


async def test_parts_and_headers_up_to_their_bounds_are_read() -> None:
    many = multipart([('name="a"', b"")] * MAX_PARTS)
    headers = b"".join(b"\r\nX-%d: a" % number for number in range(MAX_HEADERS - 1))

    assert await parts_of(many) == [("a", b"")] * MAX_PARTS
    assert await parts_of(HEAD + headers + f"\r\n\r\nb\r\n--{BOUNDARY}--\r\n".encode()) == [("a", b"b")]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "The body ends before its last part does."),
        (multipart([('name="a"', b"1")])[:-6], "The body ends before its last part does."),
        (multipart([('name="a"', b"")] * (MAX_PARTS + 1)), "The body has more than 8 parts."),
        (multipart([("filename=x", b"")]), "A part has no name."),
        (HEAD.replace(b"form-data", b"attachment") + b"\r\n\r\n", "A part has no name."),
        (HEAD + b"\r\nX-A: b\r\nx-a: c\r\n", "A part has the header 'x-a' twice."),
        (
            HEAD + b"".join(b"\r\nX-%d: a" % n for n in range(MAX_HEADERS)),
            "The body is not valid multipart/form-data: ",
        ),
        (b"identifier=1.5", "The body is not valid multipart/form-data: "),
    ],
    ids=["empty", "cut off", "parts", "no name", "another disposition", "a header twice", "headers", "no multipart"],
)
async def test_a_body_that_is_not_valid_is_refused_with_the_reason(body: bytes, message: str) -> None:
    with pytest.raises(MultipartError) as refused:
        await parts_of(body)

    assert str(refused.value).startswith(message)


@pytest.mark.parametrize("content_type", ["", "multipart/form-data", "multipart/mixed; boundary=a", "text/csv"])
async def test_another_type_of_body_is_refused(content_type: str) -> None:
    with pytest.raises(MultipartError) as refused:
        await parts_of(b"", content_type)

    assert str(refused.value) == "Send multipart/form-data with a boundary."
