"""Media types and their parameters, as clients write them."""

import time

import pytest

from graph.http.media_types import GRAPHQL_JSON, JSON, accepts_html, accepts_json, is_json, negotiate_media_type
from tests.support.patience import cpu


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        'application/json; charset="utf-8"',
        "application/json ; charset=utf8 ; version=1",
        'application/json; profile="https://example.org/a;b,c"; charset=utf-8',
        r'application/json; note="a \"quoted\"; charset=latin-1"',
        "application/json;",
    ],
)
def test_json_in_utf_8_is_read_whatever_parameters_it_has(content_type: str) -> None:
    assert is_json(content_type.encode())


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "application",
        "application/jsonp",
        "text/plain; application/json",
        "application/json; charset=latin-1",
        'application/json; x="; charset=utf-8"; charset=utf-16',
        'application/json; charset="utf-8"; charset=utf-16',
        'application/json; charset="',
    ],
)
def test_all_else_is_not(content_type: str) -> None:
    assert not is_json(content_type.encode())


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        (f"{GRAPHQL_JSON}; charset=utf-8", GRAPHQL_JSON),
        (f"{GRAPHQL_JSON};charset=utf-8;q=0.5, {JSON};charset=utf-8", JSON),
        (f'{JSON}; profile="a,b;q=0", {GRAPHQL_JSON};q=0.1', JSON),
        (f'text/html; x="{GRAPHQL_JSON},', None),
        (f"{JSON}; Q=0", None),
        (f"{JSON};q=high", None),
    ],
)
def test_what_is_accepted_is_read_with_its_parameters(accept: str, media: str | None) -> None:
    assert negotiate_media_type(accept.encode()) == media


def test_json_is_taken_by_whoever_names_it_or_anything() -> None:
    assert [
        accepts_json(accept) for accept in (None, b"*/*", b"application/*", f"{GRAPHQL_JSON}, {JSON}".encode())
    ] == [True] * 4
    assert [accepts_json(accept) for accept in (GRAPHQL_JSON.encode(), f"{JSON};q=0, */*".encode())] == [False] * 2


def test_a_page_is_for_who_names_html() -> None:
    assert accepts_html(b"text/html; charset=utf-8, */*;q=0.8")
    assert not accepts_html(b'application/json; x="text/html"')
    assert not accepts_html(b'application/json; x=", text/html, "')


@pytest.mark.parametrize("piece", ['"', '"\\', "\\", ";", ",", '";'])
def test_headers_of_nothing_but_quotes_are_read_in_no_time(piece: str) -> None:
    header = (piece * 30_000).encode()
    began = time.process_time()

    assert not is_json(header)
    assert negotiate_media_type(header) is None

    assert time.process_time() - began < cpu(0.5)
