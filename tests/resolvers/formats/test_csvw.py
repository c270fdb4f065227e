"""CSV-W documents are read in all their shapes, and anything else is refused in words."""

import hashlib
import json
import time
from collections import Counter
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from documents.catalogue.dataset import Subject
from resolvers.formats.csvw import Csvw, read_csvw
from resolvers.formats.csvw_subject import are_different_datasets
from resolvers.formats.csvw_tables import Column
from resolvers.user_errors import InvalidInput
from tests.support.needs import need_shared_data
from tests.support.patience import within

CONTEXT = "http://www.w3.org/ns/csvw"
DCTERMS = "http://purl.org/dc/terms/"


def read(document: Any) -> Csvw:
    return read_csvw(json.dumps(document))


def a_table(**more: Any) -> dict[str, Any]:
    return {"@context": CONTEXT, "url": "catch.csv", "tableSchema": {"columns": []}, **more}


def a_dataset(**more: Any) -> dict[str, Any]:
    return {"@id": "catch.csv#dataset", "@type": ["http://www.w3.org/ns/dcat#Dataset"], **more}


def test_the_digest_and_the_size_are_those_of_the_exact_bytes() -> None:
    text = '{ "url" : "é.csv",\n"tableSchema":{"columns":[]} , "n": 1.0e400}'

    csvw = read_csvw(text)

    assert csvw.sha256 == hashlib.sha256(text.encode()).hexdigest()
    assert csvw.size_bytes == len(text) + 1


def test_expanded_json_ld_is_read_from_the_node_of_type_dataset() -> None:
    record = {"@id": "#record", "@type": "dcat:CatalogRecord", DCTERMS + "title": "Not this"}
    linked = {"@id": "#other", "@type": ["http://rdfs.org/ns/void#Dataset"], DCTERMS + "title": "Nor this"}
    described = a_dataset(
        **{
            DCTERMS + "identifier": [{"@value": "Catch by Species"}],
            DCTERMS + "title": [{"@language": "en", "@value": "Catch by species"}],
            DCTERMS + "description": [{"@type": "text/markdown", "@value": "All *landings*."}],
            DCTERMS + "publisher": [{"@id": "https://example.org/fisheries"}],
            DCTERMS + "issued": [{"@type": "xsd:dateTime", "@value": "2022-02-24T11:42:44.108248"}],
            DCTERMS + "modified": [{"@type": "xsd:date", "@value": "2022-03-01"}],
            "http://www.w3.org/ns/dcat#landingPage": [{"@id": "https://example.org/catch", "rdfs:label": "The page"}],
            "http://www.w3.org/ns/dcat#keyword": [{"@language": "en", "@value": "fish"}, {"@value": "sea"}],
            "http://www.w3.org/ns/dcat#theme": [{"@id": "http://example.org/def#trade"}, {"@value": "fish"}],
        }
    )

    csvw = read(a_table(**{"rdfs:seeAlso": [record, linked, described]}))

    assert csvw.identifier == "catch-by-species"
    assert csvw.title == "Catch by species"
    assert csvw.description == "All *landings*."
    assert csvw.publisher == "https://example.org/fisheries"
    assert csvw.issued == datetime(2022, 2, 24, 11, 42, 44, 108000, UTC)
    assert csvw.modified == datetime(2022, 3, 1, tzinfo=UTC)
    assert csvw.landing_page == "https://example.org/catch"
    assert csvw.keywords == ["fish", "sea", "trade"]


@pytest.mark.parametrize("fragment", ["dataset", "qbDataSet", "csvqb", "code-list"])
@pytest.mark.parametrize("type", ["dcat:Dataset", "qb:DataSet", "http://www.w3.org/2004/02/skos/core#ConceptScheme"])
def test_the_dataset_is_found_by_its_type_whatever_its_fragment(fragment: str, type: str) -> None:
    described = {"@id": f"catch.csv#{fragment}", "@type": type, "dc:title": "Catch"}

    assert read(a_table(**{"rdfs:seeAlso": [{"@id": "#x"}, described]})).title == "Catch"


@pytest.mark.parametrize("own_first", [True, False])
def test_of_several_descriptions_of_a_type_that_with_the_id_of_the_document_counts(own_first: bool) -> None:
    own = {"@id": "catch.csv#own", "@type": "dcat:Dataset", "dc:title": "Own"}
    other = {"@id": "catch.csv#other", "@type": "dcat:Dataset", "dc:title": "Other", "dc:description": "Other"}
    described = [own, other] if own_first else [other, own]

    csvw = read(a_table(**{"@id": "catch.csv#own", "rdfs:seeAlso": described}))
    neither = read(a_table(**{"@id": "catch.csv#neither", "rdfs:seeAlso": described}))

    assert (csvw.title, csvw.description) == ("Own", None)
    assert neither.title == ("Own" if own_first else "Other")


def test_a_better_type_counts_more_than_the_id_of_the_document() -> None:
    own = {"@id": "catch.csv#own", "@type": "qb:DataSet", "dc:title": "Own", "dc:description": "Described"}
    better = {"@id": "catch.csv#other", "@type": "dcat:Dataset", "dc:title": "Better"}

    csvw = read(a_table(**{"@id": "catch.csv#own", "rdfs:seeAlso": [own, better]}))

    assert (csvw.title, csvw.description) == ("Better", "Described")


@pytest.mark.parametrize(
    ("theme", "keyword"),
    [
        ("http://example.org/def/trade", "trade"),
        ("http://example.org/def/trade/", "trade"),
        ("http://example.org/def#trade", "trade"),
        ("http://example.org/trade#", "trade"),
        ("http://example.org/def#trade/", "trade"),
        ("http://example.org/def#trade/#//", "trade"),
        ("trade/", "trade/"),
        ("energy/trade", "energy/trade"),
    ],
)
def test_a_theme_is_called_by_the_last_part_of_its_address(theme: str, keyword: str) -> None:
    assert read(a_table(**{"dcat:theme": {"@id": theme}})).keywords == [keyword]


def test_keywords_and_themes_that_are_given_twice_are_kept_once() -> None:
    csvw = read(a_table(**{"dcat:keyword": ["sea", "fish", "sea"], "dcat:theme": ["http://example.org/fish/", "sun"]}))

    assert csvw.keywords == ["sea", "fish", "sun"]


def test_a_dataset_is_also_found_where_it_is_derived_and_nested() -> None:
    nested = {"@id": "#d", "@type": ["prov:Entity"], "dcat:inSeries": {"@type": "qb:DataSet", "dcterms:title": "Catch"}}

    assert read(a_table(**{"prov:hadDerivation": nested})).title == "Catch"


@pytest.mark.parametrize(("length", "kept"), [(10_000, "t" * 10_000), (10_001, "t" * 9_999 + "…")])
def test_a_title_is_as_long_as_lists_can_be_ordered_by(length: int, kept: str) -> None:
    assert read(a_table(**{"dc:title": "t" * length})).title == kept


@pytest.mark.parametrize("key", ["dc:title", "dcterms:title", DCTERMS + "title", "rdfs:label", "title"])
def test_a_title_beside_the_table_counts_when_no_dataset_has_one(key: str) -> None:
    assert read(a_table(**{key: "Catch"})).title == "Catch"


def test_the_dataset_speaks_before_the_table() -> None:
    csvw = read(a_table(**{"dc:title": "The file", "rdfs:seeAlso": [a_dataset(**{"dcterms:title": "The dataset"})]}))

    assert csvw.title == "The dataset"


@pytest.mark.parametrize(
    ("titles", "title"),
    [
        ("Area", "Area"),
        (["Area", "Place"], "Area"),
        ({"cy": "Ardal", "en": "Area"}, "Area"),
        ({"cy": ["Ardal", "Lle"]}, "Ardal"),
        ([], None),
        (7, "7"),
        (None, None),
        ({"en": {"no": "text"}}, None),
    ],
)
def test_a_columns_title_is_the_first_of_its_titles(titles: Any, title: str | None) -> None:
    csvw = read(a_table(tableSchema={"columns": [{"titles": titles}]}))

    assert csvw.columns[0].title == title


def test_columns_say_what_they_are_and_inherit_the_rest() -> None:
    columns = [
        {"name": "area", "titles": "Area", "datatype": {"base": "string", "format": "^E"}, "required": True},
        {"name": "weight", "datatype": {"minimum": 0}, "propertyUrl": "ex:weight", "required": "true"},
        {"virtual": True, "propertyUrl": "rdf:type", "datatype": None},
    ]

    csvw = read(a_table(tableSchema={"datatype": "decimal", "columns": columns}))

    assert csvw.columns == [
        Column("area", "Area", "string", None, True, False),
        Column("weight", None, "string", "ex:weight", False, False),
        Column(None, None, "decimal", "rdf:type", False, True),
    ]


def test_of_several_tables_the_one_named_like_the_dataset_gives_the_columns() -> None:
    lists = {"url": "lists/area.csv", "tableSchema": {"columns": [{"name": "label"}]}}
    data = {"url": "catch.csv", "tableSchema": {"columns": [{"name": "weight"}]}}

    named = read({"@id": "http://example.org/catch.csv#csvqb", "tables": [lists, data]})
    unnamed = read({"tables": [{**lists, "suppressOutput": True}, data]})

    assert [column.name for column in named.columns] == ["weight"]
    assert [column.name for column in unnamed.columns] == ["weight"]


def test_entries_of_lists_that_are_no_objects_are_ignored() -> None:
    table = {"url": "catch.csv", "tableSchema": {"columns": ["area", None, {"name": "weight"}]}}

    csvw = read({"@context": CONTEXT, "tables": [True, "other.csv", None, ["x"], table, 7], "rdfs:seeAlso": [3]})

    assert csvw.identifier == "catch"
    assert [column.name for column in csvw.columns] == ["weight"]


def test_a_bare_schema_is_a_document_and_a_schema_elsewhere_has_no_columns() -> None:
    assert [c.name for c in read({"@id": "codes.json", "columns": [{"name": "label"}]}).columns] == ["label"]
    assert read(a_table(tableSchema="https://example.org/schema.json")).columns == []


@pytest.mark.parametrize(
    ("document", "identifier"),
    [
        (a_table(**{"@id": "http://example.org/deaths#scheme/age"}), "catch"),
        (a_table(url="http://example.org/Out/Catch%20by_area.csv?v=2#x"), "catch-by-area"),
        ({"tableSchema": {}, "@id": "http://example.org/deaths#scheme/age/dataset"}, "age"),
        ({"tableSchema": {}, "@id": "http://example.org/deaths/#dataset"}, "deaths"),
        ({"tableSchema": {}, "@id": "out/deaths.csv-metadata.json"}, "deaths"),
        ({"tableSchema": {}, "@id": "#table"}, None),
        ({"tableSchema": {}}, None),
    ],
)
def test_the_identifier_is_the_files_name_and_else_what_its_id_ends_in(
    document: dict[str, Any], identifier: str | None
) -> None:
    assert read(document).identifier == identifier


def test_percent_encoding_is_undone_and_the_name_it_gave_before_is_known() -> None:
    plain, encoded = read(a_table(url="my data é.csv")), read(a_table(url="my%20data%20%C3%A9.csv"))

    assert plain.identifier == encoded.identifier == "my-data-e"
    assert plain.subject == encoded.subject
    assert plain.former_identifier == encoded.former_identifier == "my-20data-20-c3-a9"


@pytest.mark.parametrize(
    ("written", "at"),
    [
        ("2021-05-20T11:48:27.161345+01:00", datetime(2021, 5, 20, 10, 48, 27, 161000, UTC)),
        ("2021-05-20T11:48:27Z", datetime(2021, 5, 20, 11, 48, 27, tzinfo=UTC)),
        ("2021-05-20 11:48", datetime(2021, 5, 20, 11, 48, tzinfo=UTC)),
        ("2021-05-20", datetime(2021, 5, 20, tzinfo=UTC)),
        ("2021-05-20Z", datetime(2021, 5, 20, tzinfo=UTC)),
        (" 06  March 2019", datetime(2019, 3, 6, tzinfo=UTC)),
        ("2021-02-30", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("2/4/2021", None),
        ("12 Brumaire 2019", None),
        ("to be announced", None),
    ],
)
def test_dates_are_utc_and_what_is_no_date_is_none(written: str, at: datetime | None) -> None:
    assert read(a_table(**{"dc:issued": {"@type": "dateTime", "@value": written}})).issued == at


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "The CSV-W document is not JSON: Expecting value: line 1 column 1 (char 0)."),
        ("{'url': 1}", "is not JSON"),
        ('{"url": "a.csv", "tableSchema": {}, "n": NaN}', "NaN is not a JSON number"),
        ('{"url": "a.csv", "tableSchema": {}, "n": -Infinity}', "-Infinity is not a JSON number"),
        ("\ufeff{}", "BOM"),
        ("[]", "is a list, not an object"),
        ("null", "is null, not an object"),
        ('{"url": "\ud800"}', "a lone surrogate (half of a character) at 9"),
        ("{}", "it has none of `tables`"),
        ('{"url": "https://example.org", "name": "a package"}', "it has none of `tables`"),
        ('{"columns": {"area": {}}}', "it has none of `tables`"),
        ('{"tables": []}', "not a list of at least one object"),
        ('{"tables": ["a.csv", null, []]}', "not a list of at least one object"),
        ('{"tables": {"url": "a.csv"}}', "not a list of at least one object"),
        ('{"columns": [' + "{}," * 5000 + "{}]}", "describes 5,001 columns, more than 5,000"),
        ('{"columns": [], "x": ' + "[" * 101 + "]" * 101 + "}", "nested more than 100 levels"),
        ("[" * 400_000, "nested more than 100 levels"),
        ('{"columns": [], "x": "' + "é" * 500_000 + '"}', "has 1,000,024 bytes, more than 1,000,000"),
    ],
)
def test_what_is_no_document_is_refused_in_words(text: str, message: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        read_csvw(text)

    assert message in refusal.value.message


def test_a_key_given_twice_and_a_huge_number_are_no_reason_to_refuse() -> None:
    csvw = read_csvw('{"columns": [], "title": "First", "title": "Last", "n": 1' + "0" * 10_000 + "}")

    assert csvw.title == "Last"


def test_half_characters_in_addresses_are_no_reason_to_refuse() -> None:
    csvw = read_csvw(
        '{"tableSchema": {}, "url": "a\\ud800/b\\ud800c.csv?x=\\ud800", "@id": "http://x/\\ud800#\\ud800"}'
    )

    assert (csvw.identifier, csvw.former_identifier) == ("bc", "b-3fc")
    assert csvw.subject == Subject(folder="a?", query="x=?", thing="x")


def test_escaped_half_characters_become_replacement_characters() -> None:
    csvw = read_csvw('{"columns": [], "title": "a\\ud800b\\u0000c\\ud83d\\ude00"}')

    assert csvw.title == "a\ufffdb\ufffdc😀"


def test_the_largest_documents_are_read_within_two_seconds() -> None:
    began = time.process_time()

    for text in (
        '{"columns": [], "x": [' + "[],{}," * 160_000 + "0]}",
        '{"columns": [], "' + '\\"' * 490_000 + '": 1}',
    ):
        read_csvw(text)

    assert time.process_time() - began < within(2)


KEYS = st.sampled_from(
    ["@id", "@type", "@value", "@context", "url", "tables", "tableSchema", "columns", "titles", "datatype", "en",
     "rdfs:seeAlso", "prov:hadDerivation", "dc:title", "dc:issued", "dcat:keyword", "dcat:theme", "dcat:landingPage",
     "dc:publisher", "dc:identifier", DCTERMS + "title", "rdfs:label", "suppressOutput", "name", "required"]
)  # fmt: skip
WORDS = st.sampled_from(["dcat:Dataset", "skos:ConceptScheme", "http://[", "#", "2020-01-01", "0000-00-00", "\ud800"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS | st.text(max_size=4), inner, max_size=6),
    max_leaves=25,
)


@settings(max_examples=400, deadline=None)
@given(document=st.dictionaries(KEYS, VALUES, max_size=8))
def test_any_object_is_read_or_refused(document: dict[str, Any]) -> None:
    try:
        csvw = read({"tableSchema": {}, **document})
    except InvalidInput:
        return

    assert csvw.issued is None or csvw.issued.tzinfo is UTC
    assert csvw.identifier is None or csvw.identifier
    json.dumps([csvw.title, csvw.publisher, csvw.keywords, csvw.landing_page], ensure_ascii=False).encode()


@settings(max_examples=300, deadline=None)
@given(text=st.text() | VALUES.map(json.dumps))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        read_csvw(text)
    except InvalidInput:
        return


def test_every_real_document_is_read_but_the_one_that_is_none() -> None:
    data = need_shared_data()
    files = [path for folder in ("csvw", "csvw_versions") for path in (data / folder).rglob("*.json")]
    found: Counter[str] = Counter()
    refused = []

    for path in (path for path in files if path.name != "index.json"):
        try:
            csvw = read_csvw(path.read_text())
        except InvalidInput:
            refused.append(path.name)
            continue
        assert csvw.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        assert csvw.size_bytes == path.stat().st_size
        found["all"] += 1
        found.update(name for name in ("identifier", "title", "issued", "publisher", "columns") if getattr(csvw, name))

    assert refused == ["hydrate.json"]
    assert found["identifier"] == found["all"] >= 400
    assert found["title"] > 0.9 * found["all"]
    assert found["columns"] > 0.85 * found["all"]
    assert found["issued"] > 0.7 * found["all"]
    assert found["publisher"] >= 75


def test_a_real_series_is_one_thing_over_its_history() -> None:
    histories = 0
    for folder in (need_shared_data() / "csvw_versions").iterdir():
        files = sorted(folder.glob("v*.json"), key=lambda path: int(path.stem[1:]))
        histories += len(files) > 1
        for one, other in pairwise(read_csvw(path.read_text()) for path in files):
            assert one.identifier is not None
            assert one.identifier != other.identifier or not are_different_datasets(
                one.subject, other.subject, one.identifier
            )
    assert histories >= 10


def test_a_real_series_keeps_its_identifier_over_its_history() -> None:
    series = [folder for folder in (need_shared_data() / "csvw_versions").iterdir() if folder.is_dir()]

    changing = {
        folder.name for folder in series if len({read_csvw(p.read_text()).identifier for p in folder.iterdir()}) > 1
    }

    # In that one the table's file itself was renamed.
    assert changing <= {"family-climate-change__nc-fuel"}
    assert len(series) >= 10
