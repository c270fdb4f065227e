"""From a remote to the page of its repository, without what is secret in it."""

import pytest

from resolvers.imports.git_checkout.remote import page_of, without_secrets


@pytest.mark.parametrize(
    "remote",
    [
        "https://github.com/owner/name",
        "https://github.com/owner/name.git",
        "https://github.com/owner/name/",
        "https://GitHub.com:443/owner/name.git/",
        "http://github.com/owner/name.git",
        "https://somebody@github.com/owner/name.git",
        "https://somebody:secret@github.com/owner/name.git",
        "https://ghp_secret@github.com/owner/name.git",
        "https://x-access-token:ghp_secret@github.com/owner/name",
        "https://oauth2:se%2Fcret@github.com/owner/name.git",
        "https://u:se@cret@github.com/owner/name.git",
        "https://github.com/owner/name.git?private_token=secret",
        "https://github.com/owner/name?access_token=secret#secret",
        "https://github.com/owner/name#secret",
        "ssh://git@github.com/owner/name.git",
        "ssh://git:secret@github.com:22/owner/name.git",
        "git+ssh://git@github.com/owner/name.git",
        "git://github.com/owner/name.git",
        "git@github.com:owner/name.git",
        "git@github.com:/owner/name.git",
        "somebody@github.com:owner/name?secret",
    ],
)
def test_all_ways_to_write_one_repository_are_one_page(remote: str) -> None:
    assert page_of(remote) == "https://github.com/owner/name"


@pytest.mark.parametrize(
    "remote",
    [
        "",
        "/srv/git/name.git",
        "../name",
        "file:///srv/git/name.git",
        "C:/name",
        "ext::sh -c 'touch x'",
        "https://github.com",
        "https://github.com/",
        "https:///owner/name",
        "https://user:p/secret@github.com/owner/name",
        "https://user:1/secret@github.com/owner/name",
        "https://user:secret@/owner/name",
        "https://github.com/owner/../../name",
        "https://github.com/owner//name",
        "https://github.com/owner/name\nx",
        "https://-x/owner/name",
        "https://[::1]/owner/name",
        "javascript://github.com/owner/name",
        "https://github.com/owner/na\x01me",
        "https://github.com/owner/" + "n" * 1_000,
    ],
)
def test_what_is_no_address_elsewhere_has_no_page(remote: str) -> None:
    assert page_of(remote) is None


@pytest.mark.parametrize(
    ("remote", "left"),
    [
        ("family", "family"),
        ("https://user:pass/word@host/owner", "host/owner"),
        ("user@host:owner?token=secret", "host:owner"),
        ("/srv/git/name#secret", "/srv/git/name"),
    ],
)
def test_what_is_no_address_has_no_secrets_either(remote: str, left: str) -> None:
    assert without_secrets(remote) == left


def test_a_hostile_address_takes_no_time() -> None:
    assert page_of("https://" + "a@" * 500_000 + "/x") is None
    assert page_of("https://" + "a-" * 500_000 + "/x") is None
    assert page_of("a@" * 500_000) is None
