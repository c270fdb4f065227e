"""The sources that CSV-W documents name: tables of foreign keys, what PROV says, and the tools that made them."""

import json
import time
from collections import Counter
from typing import Any

import pytest

from resolvers.formats.csvw import Csvw, read_csvw
from resolvers.formats.csvw_sources import FOREIGN_KEYS, MAX_RELEASES, CsvwSources, Release
from resolvers.formats.sources import MAX_SOURCES, Mention
from resolvers.user_errors import InvalidInput
from tests.support.needs import need_shared_data
from tests.support.patience import cpu

CODES = "http://codes.example"
CSVCUBED = "https://github.com/GSS-Cogs/csvcubed"
PROV = "http://www.w3.org/ns/prov#"


def read(document: Any) -> Csvw:
    return read_csvw(json.dumps({"@context": "http://www.w3.org/ns/csvw"} | document))


def refers_to(*tables: Any) -> dict[str, Any]:
    """A table schema with a foreign key to each table."""
    keys = [{"columnReference": "a", "reference": {"resource": table, "columnReference": "b"}} for table in tables]
    return {"tableSchema": {"columns": [], "foreignKeys": keys}}


def test_the_tables_of_foreign_keys_are_sources_each_once_and_its_own_table_is_none() -> None:
    catch = {"url": "catch.csv", **refers_to(f"{CODES}/sex.csv", "age.csv", "catch.csv", f"{CODES}/sex.csv")}
    lists = [{"url": f"{CODES}/sex.csv", "suppressOutput": True}, {"url": "age.csv", "suppressOutput": True}]

    csvw = read({"@id": "catch.csv#dataset", "tables": [*lists, catch]})

    assert csvw.sources == CsvwSources([Mention(FOREIGN_KEYS, f"{CODES}/sex.csv"), Mention(FOREIGN_KEYS, "age.csv")])
    assert csvw.table_url is None


@pytest.mark.parametrize(
    ("url", "table_url"),
    [
        ("HTTPS://ada:s3cr3t@Codes.example:443/a/../sex.csv#row=1", "https://codes.example/sex.csv"),
        ("https://codes.example/sex.csv?v=1&sig=s3cr3t", "https://codes.example/sex.csv?v=1"),
        ("sex.csv", None),
        ("file:///sex.csv", None),
        ("https://codes.example/" + "a" * 2_000, None),
    ],
)
def test_a_table_with_an_address_has_one_normal_form(url: str, table_url: str | None) -> None:
    assert read({"url": url, "tableSchema": {"columns": []}}).table_url == table_url


@pytest.mark.parametrize("inline", [True, False])
@pytest.mark.parametrize("prefix", ["prov:", PROV])
def test_what_the_activity_used_is_a_source_or_a_release_of_a_tool(prefix: str, inline: bool) -> None:
    release = {"@id": f"{CSVCUBED}/releases/tag/v0.1.0.dev0"}
    activity = {"@id": "#build", "@type": "prov:Activity", f"{prefix}used": [release, {"@id": f"{CODES}/raw.xls"}]}
    made = activity if inline else {"@id": "#build"}
    code_list = {"@id": "#code-list", "@type": ["skos:ConceptScheme"], f"{prefix}wasGeneratedBy": [made]}

    csvw = read({"url": "sex.csv", "rdfs:seeAlso": [code_list] if inline else [activity, code_list]})

    assert csvw.sources == CsvwSources(
        mentions=[Mention("prov:used", f"{CODES}/raw.xls")], releases=[Release(CSVCUBED, "v0.1.0.dev0")]
    )


@pytest.mark.parametrize("name", ["prov:derivedFrom", "prov:wasDerivedFrom", f"{PROV}wasDerivedFrom"])
def test_what_a_document_was_derived_from_is_a_source_and_what_was_derived_from_it_is_none(name: str) -> None:
    scheme = {"@id": f"{CODES}/def", "@type": "skos:ConceptScheme"}

    csvw = read({"url": "ipcc.csv", name: {"@id": "https://ipcc.example/a.pdf"}, "prov:hadDerivation": scheme})

    assert csvw.sources == CsvwSources(mentions=[Mention("prov:derivedFrom", "https://ipcc.example/a.pdf")])


@pytest.mark.parametrize(
    ("address", "release"),
    [
        (f"{CSVCUBED}/releases/tag/v1%2Frc%201", Release(CSVCUBED, "v1/rc 1")),
        ("https://GitLab.example/a/b/-/releases/v2?token=s", Release("https://gitlab.example/a/b", "v2")),
        ("https://ada:s3cr3t@github.com/a/b/releases/tag/v3", Release("https://github.com/a/b", "v3")),
        (f"{CSVCUBED}/releases/tag/", None),
        (f"{CSVCUBED}/releases/latest", None),
        (f"{CSVCUBED}/releases/tag/a%0Ab", None),
        (f"{CSVCUBED}/releases/tag/{'v' * 256}", None),
    ],
)
def test_a_release_is_known_by_the_address_of_its_page(address: str, release: Release | None) -> None:
    activity = {"@type": "prov:Activity", "prov:used": {"@id": address}}

    sources = read({"url": "sex.csv", "prov:wasGeneratedBy": activity}).sources

    assert sources.releases == ([release] if release else [])
    assert sources.mentions == ([] if release else [Mention("prov:used", address)])


@pytest.mark.parametrize(
    "odd",
    [
        {"tableSchema": {"columns": [], "foreignKeys": [None, 1, {"reference": "x"}, {"reference": {"resource": []}}]}},
        {"tableSchema": {"columns": [], "foreignKeys": {"reference": {"resource": "x"}}}},
        {"prov:wasGeneratedBy": ["x", 1, {"@id": 2}, [{"prov:used": f"{CODES}/a"}]]},
        {"prov:derivedFrom": [None, {}, {"@id": None}, []]},
    ],
)
def test_other_shapes_name_nothing(odd: dict[str, Any]) -> None:
    assert read({"url": "sex.csv", "tableSchema": {"columns": []}} | odd).sources == CsvwSources()


@pytest.mark.parametrize(("references", "counts"), [(0, (0, MAX_RELEASES)), (2 * MAX_SOURCES, (MAX_SOURCES, 0))])
def test_however_much_a_document_mentions_there_is_little_of_it_and_soon(
    references: int, counts: tuple[int, int]
) -> None:
    used = [f"{CSVCUBED}/releases/tag/v{number}" for number in range(2 * MAX_RELEASES)]
    busy = {f"x{number}": 0 for number in range(20_000)} | {"@id": "#b", "prov:used": used}
    made = [{"prov:wasGeneratedBy": {"@id": "#b"}} for _ in range(12_000)]
    keys = refers_to(*(f"{number}.csv" for number in range(references)))
    document = {"url": "sex.csv", "rdfs:seeAlso": [busy, *made], **keys}
    started = time.process_time()

    sources = read(document).sources

    assert (len(sources.mentions), len(sources.releases)) == counts
    assert time.process_time() - started < cpu(2)


def test_real_documents_name_their_sources() -> None:
    found: Counter[Any] = Counter()
    for folder in ("csvw", "csvw_versions"):
        for path in (need_shared_data() / folder).rglob("*.json"):
            text = path.read_text()
            try:
                sources = read_csvw(text).sources
            except InvalidInput:
                continue
            found["foreign keys"] += '"resource":' in text
            properties = Counter(mention.property for mention in sources.mentions)
            found["other tables"] += bool(properties.pop(FOREIGN_KEYS, 0))
            found.update(properties)
            found.update(release.tag for release in sources.releases if release.repository == CSVCUBED)

    # In one document the only foreign key is that between its own two tables.
    assert (found.pop("foreign keys"), found.pop("other tables"), found.pop("prov:derivedFrom")) == (17, 16, 1)
    assert found == {"v0.1.0.dev0": 12, "v0.1.11": 2, "v0.4.10": 1}
