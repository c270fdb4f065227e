"""GraphiQL as it is served: the page, the files it loads, and the queries it opens with."""

import json
import re
from pathlib import Path

import httpx2
import pytest
from graphql import build_schema, parse, validate

from graph.graphiql import content_security_policy, render, vendor_assets
from graph.graphiql.html import example_queries
from tests.support.running import Running

ROOT = Path(__file__).resolve().parents[3]
QUERIES = ROOT / "graph" / "graphiql" / "queries"


@pytest.fixture
def site(server: Running) -> str:
    """The address of a server whose root is GraphiQL."""
    return server.url


def page(site: str) -> httpx2.Response:
    """The response to a browser that opens the address."""
    return httpx2.get(site, headers={"accept": "text/html,*/*;q=0.8"})


def test_the_page_is_never_stored_and_each_answer_has_a_nonce_of_its_own(site: str) -> None:
    first, second = page(site), page(site)

    nonces = [set(re.findall(r'nonce="([^"]+)"', answer.text)) for answer in (first, second)]
    assert [len(found) for found in nonces] == [1, 1]
    assert nonces[0] != nonces[1]
    assert first.headers["content-security-policy"] == content_security_policy(*nonces[0])
    assert first.headers["cache-control"] == "no-store"
    assert first.headers["x-content-type-options"] == "nosniff"
    assert first.text.count("<script") == first.text.count("<script nonce=") + 1


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
def test_every_file_of_the_page_may_be_kept_for_ever(site: str, encoding: str) -> None:
    addresses = re.findall(r'(?:src|href)="([^"]+)"', page(site).text)

    answers = [httpx2.get(site + address, headers={"accept-encoding": encoding}) for address in addresses]

    assert len(answers) == 13
    for answer in answers:
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers.get("content-encoding", "identity") == encoding
    assert sum(len(answer.content) for answer in answers) > 4_000_000


def test_a_file_of_another_release_or_outside_the_folder_is_not_found(site: str) -> None:
    address = re.findall(r'src="([^"]+/start\.js)"', page(site).text)[0]

    for other in (
        address.replace(address.split("/")[3], "0" * 16),
        address.replace("start.js", "page.html"),
        address.replace("start.js", "..%2fpage.py"),
    ):
        answer = httpx2.get(site + other)
        assert answer.status_code == 404
        assert answer.headers.get("cache-control", "no-store") == "no-store"


def test_a_worked_query_cannot_end_the_element_it_is_written_in() -> None:
    text = render(nonce="n", endpoint="/</script><script>alert(1)</script>")

    settings = re.search(r'id="settings" nonce="n">(.*?)</script>', text, re.DOTALL)
    assert settings is not None
    assert json.loads(settings[1])["endpoint"] == "/</script><script>alert(1)</script>"


@pytest.mark.parametrize("file", sorted(QUERIES.glob("*.graphql")), ids=lambda file: file.stem)
def test_a_worked_query_is_explained_named_and_fits_the_schema(file: Path) -> None:
    text = file.read_text()
    assert re.match(r"(# .+\n){2,4}(query|mutation) [A-Z]\w+", text)

    schema = (ROOT / "schema.graphql").read_text()
    assert validate(build_schema(schema), parse(text)) == []


def test_the_variables_of_a_worked_query_are_those_it_declares() -> None:
    for tab in example_queries():
        declared = {v.variable.name.value for v in parse(tab["query"]).definitions[0].variable_definitions or []}  # type: ignore[attr-defined]
        assert set(json.loads(tab.get("variables", "{}"))) == declared


def test_the_vendored_files_are_byte_for_byte_those_that_were_published() -> None:
    vendor_assets.check()


def test_a_changed_or_missing_vendored_file_is_noticed(tmp_path: Path) -> None:
    with pytest.raises(vendor_assets.IntegrityError, match=r"react-18\.2\.0\.js is missing"):
        vendor_assets.check(tmp_path)

    (tmp_path / "react-18.2.0.js").write_text("alert(1)")
    with pytest.raises(vendor_assets.IntegrityError, match=r"react-18\.2\.0\.js is sha384-.* as pinned"):
        vendor_assets.check(tmp_path)
