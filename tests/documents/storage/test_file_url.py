"""Spellings of one URL are told to be one, and directories contain what is below them and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from documents.storage.file_url import MAX_LEVELS, directories_above, directory_url, file_url, is_directory, object_url

SIGNS = st.text(alphabet="aB/.%?#:@é~ 2fF&[]", max_size=20)


@pytest.mark.parametrize(
    ("spelling", "url"),
    [
        ("gs://bucket/dir/a.csv", "gs://bucket/dir/a.csv"),
        ("GS://Bucket/dir/a.csv", "gs://bucket/dir/a.csv"),
        ("abfss://Raw@Account.example/a.csv", "abfss://raw@account.example/a.csv"),
        ("gs://bucket/Dir/A.csv", "gs://bucket/Dir/A.csv"),
        ("gs://bucket/dir%2Fa.csv", "gs://bucket/dir%2Fa.csv"),
        ("gs://bucket/part#1.csv", "gs://bucket/part#1.csv"),
        ("gs://bucket/what?.csv", "gs://bucket/what?.csv"),
        ("gs://bucket/50% @ 20.csv", "gs://bucket/50% @ 20.csv"),
        ("gs://bucket/dir/../a.csv", "gs://bucket/dir/../a.csv"),
        ("gs://bucket/größe.csv", "gs://bucket/größe.csv"),
        ("gs://somebody:secret@bucket/a@b.csv", "gs://bucket/a@b.csv"),
        ("gs://bucket", "gs://bucket/"),
        ("S3A://Bucket/a#1?token=x", "s3://bucket/a#1?token=x"),
        ("https://storage.googleapis.com/bucket/dir/a.csv?X-Goog-Signature=0a", "gs://bucket/dir/a.csv"),
        ("https://storage.cloud.google.com/bucket/dir/a.csv", "gs://bucket/dir/a.csv"),
        ("https://bucket.storage.googleapis.com/dir/a.csv", "gs://bucket/dir/a.csv"),
        ("https://storage.googleapis.com/bucket/d%69r/50%25%20%231%3f.csv#123", "gs://bucket/dir/50% #1?.csv"),
        ("https://storage.googleapis.com/bucket/%FF.csv", "https://storage.googleapis.com/bucket/%FF.csv"),
        ("https://www.googleapis.com/storage/v1/b/bucket/o/dir%2Fpart%231.csv", "gs://bucket/dir/part#1.csv"),
        (
            "https://storage.googleapis.com/download/storage/v1/b/bucket/o/dir%2Fa%20b.csv?generation=5&alt=media",
            "gs://bucket/dir/a b.csv",
        ),
        ("https://www.googleapis.com/download/storage/v1/b/bucket/o/a.csv?alt=media", "gs://bucket/a.csv"),
        ("https://www.googleapis.com/storage/v1/b/b/o/a.csv", "gs://b/a.csv"),
        ("https://www.googleapis.com/storage/v1/b/bucket", "gs://bucket/"),
        ("https://www.googleapis.com/storage/v1/b/bucket/o", "gs://bucket/"),
        ("https://www.googleapis.com/drive/v3/files/1", "https://www.googleapis.com/drive/v3/files/1"),
        ("https://storage.googleapis.com/storage/v1.csv", "gs://storage/v1.csv"),
        ("HTTPS://Files.Example:443/a%7eb/", "https://files.example/a~b/"),
        ("http://files.example:80", "http://files.example/"),
        ("http://files.example:8080/a", "http://files.example:8080/a"),
        ("https://files.example/a%2fb/c", "https://files.example/a%2Fb/c"),
        ("https://files.example/a/./b/../c", "https://files.example/a/c"),
        ("https://files.example/a/%2e%2E/c", "https://files.example/c"),
        ("https://files.example/../..", "https://files.example/"),
        ("https://files.example/a?ref=main#top", "https://files.example/a?ref=main"),
        ("https://somebody:secret@files.example/a", "https://files.example/a"),
        ("https://files.example/a?file=b&Token=c#top", "https://files.example/a?file=b"),
        ("urn:example:a", "urn:example:a"),
    ],
)
def test_spellings_of_one_file_are_written_as_one(spelling: str, url: str) -> None:
    assert file_url(spelling) == url
    assert file_url(url) == url


@pytest.mark.parametrize("spelling", ["gs://bucket/dir", "gs://bucket/dir/", "GS://BUCKET/dir/"])
def test_a_directory_ends_in_a_slash_however_it_is_spelled(spelling: str) -> None:
    assert directory_url(spelling) == "gs://bucket/dir/"


@pytest.mark.parametrize(
    ("file", "directories"),
    [
        ("gs://bucket/a/b/c.csv", ["gs://bucket/", "gs://bucket/a/", "gs://bucket/a/b/"]),
        ("gs://bucket/c.csv", ["gs://bucket/"]),
        ("gs://bucket/", []),
        ("gs://bucket/a", ["gs://bucket/"]),
        ("gs://bucket/a?b/#c/d", ["gs://bucket/", "gs://bucket/a?b/", "gs://bucket/a?b/#c/"]),
        ("s3://bucket/a/c", ["s3://bucket/", "s3://bucket/a/"]),
        ("gs://bucket/a//c", ["gs://bucket/", "gs://bucket/a/", "gs://bucket/a//"]),
        ("https://files.example/a/c?ref=x", [
            "https://files.example/", "https://files.example/a/",
            "https://files.example/?ref=x", "https://files.example/a/?ref=x",
        ]),
        ("urn:example:a/b", []),
    ],
)  # fmt: skip
def test_a_file_is_below_every_directory_on_its_way_and_no_other(file: str, directories: list[str]) -> None:
    assert directories_above(file) == directories


def test_directories_are_looked_for_down_to_a_bound() -> None:
    assert len(directories_above("gs://bucket/" + "a/" * 500)) == MAX_LEVELS


@given(path=SIGNS)
def test_a_url_that_is_written_once_stays_as_it_is(path: str) -> None:
    api = "https://www.googleapis.com/storage/v1/b/"
    for base in (
        "gs://bucket/",
        "https://files.example/",
        "https://storage.googleapis.com/",
        "https://b.storage.googleapis.com/",
        api,
    ):
        assert file_url(file_url(base + path)) == file_url(base + path)
        assert directory_url(directory_url(base + path)) == directory_url(base + path)


@pytest.mark.parametrize(
    ("url", "expected"), [("gs://b/c#/", True), ("gs://b/c/#", False), ("https://h/c/?a=/b", True)]
)
def test_a_directory_is_known_by_the_slash_at_the_end_of_its_path(url: str, expected: bool) -> None:
    assert is_directory(url) is expected


@given(name=st.text(min_size=1, max_size=30).filter(lambda name: not name.endswith("/")))
def test_an_object_with_any_name_has_a_url_of_its_own(name: str) -> None:
    url = object_url("bucket", name)

    assert file_url(url) == url
    assert object_url("bucket", f"{name}x") != url
    assert len(directories_above(url)) == 1 + name.count("/")
