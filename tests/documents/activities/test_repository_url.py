"""A repository has one address, however people and programs spell it."""

import pytest

from documents.activities.activity import CodeReference
from documents.activities.repository_url import repository_url

NORMAL = "https://code.example/rain/main"
SPELLINGS = [
    NORMAL,
    " https://code.example/rain/main.git/ ",
    "http://code.example:80/rain/main",
    "HTTPS://Code.Example:443//rain//main.git?ref=x#readme",
    "https://maria:secret@code.example/rain/main",
    "code.example/rain/main.git",
    "git@code.example:rain/main.git",
    "git@code.example:/rain/main",
    "ssh://git@code.example:2222/rain/main.git",
    "git://code.example/rain/main.git",
    "git+ssh://git@code.example/rain/main",
    "ssh+git://code.example/rain/main",
    "git+https://token@code.example/rain/main.git",
]


@pytest.mark.parametrize("address", SPELLINGS)
def test_every_spelling_is_one_repository(address: str) -> None:
    assert repository_url(address) == NORMAL


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("https://code.example/Rain/main", "https://code.example/Rain/main"),
        ("http://localhost:3000/rain.git", "https://localhost:3000/rain"),
        ("localhost:3000/rain", "https://localhost:3000/rain"),
        ("https://[::1]:8443/rain/", "https://[::1]:8443/rain"),
        ("https://code.example", "https://code.example"),
        ("https://code.example/.git", "https://code.example"),
        ("urn:uuid:0123", "urn:uuid:0123"),
        ("file:///srv/rain.git", "file:///srv/rain.git"),
        ("gs://bucket/rain.git", "gs://bucket/rain.git"),
        ("https:///rain", "https:///rain"),
        ("https://code.example:port/rain", "https://code.example:port/rain"),
        ("./rain.git", "./rain.git"),
        ("rain/main", "rain/main"),
        ("", ""),
    ],
)
def test_other_addresses_stay_apart(address: str, expected: str) -> None:
    assert repository_url(address) == expected
    assert repository_url(expected) == expected


def test_code_is_stored_under_the_normal_form() -> None:
    assert CodeReference(repository=SPELLINGS[8], commit="0a1b").repository == NORMAL
