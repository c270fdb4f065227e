"""info.json is read in its three forms, and publishers become keys that small differences do not split."""

import json
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resolvers.formats.info_json import Info, InfoKind, organisation_url, read_info
from resolvers.user_errors import InvalidInput
from tests.support.needs import need_shared_data

GOV_UK = "https://www.gov.uk/government/organisations/"


def read(info: Any) -> Info:
    return read_info(json.dumps(info))


def test_a_pipelines_info_is_read() -> None:
    info = read(
        {
            "$schema": "http://example.org/schema.json",
            "id": "sea-catch",
            "title": " Sea catch ",
            "publisher": "Office  for Fisheries",
            "landingPage": ["https://Example.org/catch", "https://example.org/catch`", "not a page"],
            "description": "",
            "published": "2019-11-07",
            "families": ["Trade", "Trade", "Sea"],
        }
    )

    assert info == Info(
        kind=InfoKind.PIPELINE,
        identifier="sea-catch",
        title="Sea catch",
        publisher="Office for Fisheries",
        landing_pages=["https://example.org/catch"],
        description=None,
        published=datetime(2019, 11, 7, tzinfo=UTC),
        families=["Trade", "Sea"],
    )


def test_the_airtable_form_is_read() -> None:
    info = read(
        {
            "Name": "Sea catch",
            "Producer": ["OfF"],
            "Landing Page": "https://example.org/catch",
            "Description": "Landings.",
            "Last Published": "12 September 2019",
            "Family": ["sea"],
        }
    )

    assert info.kind is InfoKind.AIRTABLE
    assert (info.title, info.publisher, info.landing_pages) == ("Sea catch", "OfF", ["https://example.org/catch"])
    assert (info.description, info.families) == ("Landings.", ["sea"])
    assert info.published == datetime(2019, 9, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("more", "identifier"),
    [({"dataset_id": "catch"}, "catch"), ({"dataset_uri": "http://example.org/data/Catch"}, "catch"), ({}, None)],
)
def test_the_snake_case_form_is_read(more: dict[str, str], identifier: str | None) -> None:
    info = read({"title": "Catch", "landing_page": "https://example.org/c", "themes": ["Sea"], **more})

    assert info.identifier == identifier
    assert info.landing_pages == ["https://example.org/c"]
    assert info.families == ["Sea"]


def test_where_there_is_no_landing_page_the_page_of_the_metadata_stands_in() -> None:
    info = read(
        {"title": "C", "landingPage": "", "metaURL": "https://example.org/m", "dataURL": "https://example.org/d"}
    )

    assert info.landing_pages == ["https://example.org/m"]


@pytest.mark.parametrize("published", ["", None, "2/4/2021", "19 July 2019ßß", "Housing, Employment", 2019, []])
def test_what_is_no_date_is_no_publication_date(published: Any) -> None:
    assert read({"title": "Catch", "published": published}).published is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '{"family": "Trade", "pipelines": ["a", "b"]}',
            "This info.json lists the 2 pipelines of Trade; it does not describe one of them.",
        ),
        ('{"publisher": "ONS"}', "This info.json has no title."),
        ('{"title": " "}', "This info.json has no title."),
        ("[]", "The info.json is a list, not an object."),
        ("{", "The info.json is not JSON: "),
    ],
)
def test_what_describes_no_pipeline_is_refused_in_words(text: str, message: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        read_info(text)

    assert refusal.value.message.startswith(message)


@pytest.mark.parametrize(
    ("spellings", "url"),
    [
        (
            ["HM Revenue & Customs", "hm revenue and customs", " HM  Revenue&Customs (HMRC)"],
            GOV_UK + "hm-revenue-customs",
        ),
        (["Her Majesty’s Treasury", "His Majesty's Treasury", "HM TREASURY"], GOV_UK + "hm-treasury"),
        (
            ["Department for Environment Food & Rural Affairs", "Department for Environment, Food and Rural Affairs"],
            GOV_UK + "department-for-environment-food-rural-affairs",
        ),
        (
            [
                "Department for Business, Energy & Industrial Strategy",
                GOV_UK + "department-for-business-energy-and-industrial-strategy/",
            ],
            GOV_UK + "department-for-business-energy-and-industrial-strategy",
        ),
        (
            ["Office for National Statistics", "The Office  for National Statistics"],
            GOV_UK + "office-for-national-statistics",
        ),
        (["Home Office"], GOV_UK + "home-office"),
        (["Public Health England"], GOV_UK + "public-health-england"),
        (["Scottish Government", "The Scottish Government"], "urn:publisher:scottish-government"),
        (["Department for Communities NI"], "urn:publisher:department-for-communities-ni"),
        (["Northern Ireland Department for Communities"], "urn:publisher:northern-ireland-department-for-communities"),
        (["Bank of England"], "urn:publisher:bank-of-england"),
        (["ONS"], "urn:publisher:ons"),
        (["Institut für Seefischerei"], "urn:publisher:institut-fur-seefischerei"),
        (["国家统计局"], "urn:publisher:%E5%9B%BD%E5%AE%B6%E7%BB%9F%E8%AE%A1%E5%B1%80"),
        (["HTTPS://Fish.Example.org/About/", "https://fish.example.org/About"], "https://fish.example.org/About"),
    ],
)  # fmt: skip
def test_spellings_of_one_publisher_share_a_key(spellings: list[str], url: str) -> None:
    assert {organisation_url(spelling) for spelling in spellings} == {url}


@pytest.mark.parametrize("publisher", ["", "  ", "!?", "\ud800", "()"])
def test_a_publisher_without_a_letter_is_refused(publisher: str) -> None:
    with pytest.raises(InvalidInput, match="A publisher needs a name"):
        organisation_url(publisher)


def test_long_names_that_begin_alike_stay_apart_and_bounded() -> None:
    first, second = (organisation_url("Sea " * 100 + end) for end in "AB")

    assert first != second
    assert len(first) < 150


@settings(max_examples=300, deadline=None)
@given(publisher=st.text() | st.from_regex(r"https?://[\[\]a-z:@/?#%]*"))
def test_any_publisher_has_one_ascii_key_or_is_refused(publisher: str) -> None:
    try:
        url = organisation_url(publisher)
    except InvalidInput:
        return

    assert url == organisation_url(f" {publisher}\n")
    assert url.startswith(("http://", "https://", "urn:publisher:"))


@settings(max_examples=300, deadline=None)
@given(
    info=st.dictionaries(
        st.sampled_from(["title", "Name", "id", "publisher", "landingPage", "published", "families", "dataset_uri"]),
        st.none() | st.booleans() | st.integers() | st.text(max_size=9) | st.lists(st.text(max_size=9) | st.none()),
    )
)
def test_any_object_is_read_or_refused(info: dict[str, Any]) -> None:
    try:
        described = read(info)
    except InvalidInput:
        return

    assert described.title.strip()
    assert described.published is None or described.published.tzinfo is UTC


def test_every_real_pipeline_is_read_and_every_family_refused() -> None:
    files = sorted((need_shared_data() / "info_json").rglob("*info.json"))
    found: Counter[str] = Counter()
    organisations: Counter[str] = Counter()
    refused = []

    for path in files:
        try:
            info = read_info(path.read_text())
        except InvalidInput as refusal:
            refused.append((path.parent.name, refusal.message.partition(" the ")[0]))
            continue
        found["all"] += 1
        found.update(
            n for n in ("identifier", "landing_pages", "publisher", "published", "families") if getattr(info, n)
        )
        organisations[organisation_url(info.publisher or "nobody")] += 1

    assert len(files) >= 250
    assert refused == [("datasets", "This info.json lists")] * 3
    assert found["all"] == found["publisher"] == len(files) - 3
    assert found["landing_pages"] >= 225
    assert found["published"] >= 210
    assert found["identifier"] >= 200
    assert organisations[GOV_UK + "office-for-national-statistics"] >= 45
    assert organisations["urn:publisher:northern-ireland-housing-executive"] == 3
