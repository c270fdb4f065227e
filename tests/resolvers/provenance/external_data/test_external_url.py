"""URLs of data that lies elsewhere: one spelling, and no secrets."""

import pytest

from resolvers.provenance.external_data.external_url import check_external_url, external_url, without_query
from resolvers.user_errors import InvalidInput


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        (" https://User:pw@Files.Example:443/a b/./c.csv?year=7#x ", "https://files.example/a%20b/c.csv?year=7"),
        ("https://files.example?key=age", "https://files.example/?key=age"),
        ("https://files.example/a.csv?dl=1&rlkey=s&st=b", "https://files.example/a.csv?dl=1&st=b"),
        ("https://files.example/a.csv?%72esourcekey=s", "https://files.example/a.csv"),
        ("https://files.example/a.csv?jsessionid=s&SESSION=t", "https://files.example/a.csv"),
        ("https://files.example/a.csv;jsessionid=s/b;v=1?sid=t&PHPSESSID=u", "https://files.example/a.csv/b;v=1"),
        ("https://files.example/a.csv?year=7;token=s&b=1;2", "https://files.example/a.csv?b=1;2"),
        ("https://files.example/a.csv?%2574oken=s&token[]=t&ticket=u", "https://files.example/a.csv"),
        ("https://storage.googleapis.com/bucket/a.csv%3Ftoken=s", "gs://bucket/a.csv"),
        ("https://bucket.example/a.csv?versionId=3&X-Amz-Signature=s", "https://bucket.example/a.csv?versionId=3"),
        ("https://storage.googleapis.com/bucket/a%20b.csv?X-Goog-Signature=s", "gs://bucket/a b.csv"),
        ("gs://me:pw@Bucket/a.csv?X-Goog-Signature=s", "gs://bucket/a.csv"),
        ("s3n://bucket/a#1?.csv", "s3://bucket/a#1?.csv"),
    ],
)
def test_a_url_has_one_form_without_secrets(url: str, normal: str) -> None:
    assert check_external_url(url, "url") == normal
    assert check_external_url(normal, "url") == normal


@pytest.mark.parametrize(
    "url",
    [
        "",
        "files.example/a.csv",
        "ftp://files.example/a.csv",
        "javascript://files.example/%0aalert()",
        "https:///a.csv",
        "https://:443/a.csv",
        "https://me@[files.example/a.csv",
        "https://files.example/a.csv?\x7f",
        "gs:///a.csv",
        "gs://bucket/a\tb",
        f"https://files.example/{'ü' * 400}",
    ],
)
def test_what_is_no_url_of_data_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_external_url(url, "used", "0", "url")

    assert refused.value.path == ("used", "0", "url")
    assert external_url(url) is None


def test_a_refusal_repeats_no_secret() -> None:
    with pytest.raises(InvalidInput) as refused:
        check_external_url("ftp://me:secret@files.example/a.csv?anything=secret", "url")

    assert refused.value.message == "url must be an http, https, gs or s3 URL, not 'ftp://files.example/a.csv'."


def test_only_web_addresses_have_queries() -> None:
    assert without_query("https://files.example/a.csv?year=7") == "https://files.example/a.csv"
    assert without_query("gs://bucket/a?.csv") == "gs://bucket/a?.csv"
