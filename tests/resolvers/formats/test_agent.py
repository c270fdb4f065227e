"""Publishers are read by name and address, however a document writes them."""

import json
from time import process_time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resolvers.formats.agent import Agent, address_in, agents
from resolvers.formats.csvw import Csvw, read_csvw
from resolvers.formats.info_json import organisation_url, read_info
from tests.support.patience import within

ONS, PAGE = "Office for National Statistics", "https://www.ons.example/about"


def published_by(publisher: Any) -> Csvw:
    table = {"@context": "http://www.w3.org/ns/csvw", "url": "a.csv", "tableSchema": {}}
    return read_csvw(json.dumps(table | {"dc:publisher": publisher}))


@pytest.mark.parametrize(
    ("written", "name", "address"),
    [
        (ONS, ONS, None),
        (PAGE, None, PAGE),
        (f"[{ONS}]({PAGE})", ONS, PAGE),
        (f'Published by [{ONS}](<{PAGE}> "Their page").', ONS, PAGE),
        (f"[{PAGE}]({PAGE})", None, PAGE),
        ("[ONS](https://wiki.example/ONS_(office))", "ONS", "https://wiki.example/ONS_(office)"),
        (f"[{ONS}](/about)", ONS, None),
        (f"{ONS} <{PAGE}>", ONS, PAGE),
        (f"{ONS} ({PAGE}).", ONS, PAGE),
        (f"{ONS}: {PAGE}", ONS, PAGE),
        ("Housing Executive (NIHE)", "Housing Executive (NIHE)", None),
        ({"@id": PAGE}, None, PAGE),
        ({"@id": "ofgem"}, "ofgem", None),
        ({"schema:name": ONS, "schema:url": {"@id": PAGE}}, ONS, PAGE),
        ({"http://schema.org/name": [{"@value": ONS}], "https://schema.org/url": PAGE}, ONS, PAGE),
        ({"@id": "_:b0", "foaf:name": ONS, "foaf:homepage": [{"@id": PAGE}]}, ONS, PAGE),
        ({"@id": PAGE, "rdfs:label": ONS, "schema:url": "https://elsewhere.example"}, ONS, PAGE),
        ({"@value": f"[{ONS}]({PAGE})"}, ONS, PAGE),
        ({"name": ONS, "url": f"[their page]({PAGE})"}, ONS, PAGE),
        ({"cy": "Swyddfa", "en": ONS}, ONS, None),
    ],
)
def test_name_and_address_are_found(written: Any, name: str | None, address: str | None) -> None:
    described = published_by(written)
    info = read_info(json.dumps({"title": "Births", "publisher": written}))

    assert list(agents(written)) == described.publishers == [Agent(name, address)]
    assert described.publisher == (name or address)
    assert (info.publisher, info.publisher_address) == (name or address, address)


def test_all_that_are_named_are_found_once() -> None:
    several = [ONS, {"@id": PAGE}, True, None, {}, " ", [ONS], {"schema:name": ONS}]

    assert published_by(several).publishers == [Agent(ONS, None), Agent(None, PAGE)]


def test_a_link_in_markdown_is_no_name_to_invent_an_address_of() -> None:
    assert organisation_url(f"[{ONS}]({PAGE}/)") == organisation_url(f"{ONS} <{PAGE}>") == PAGE
    assert organisation_url(f"[{ONS}](about.html)") == organisation_url(ONS)


def test_landing_pages_are_read_from_links() -> None:
    info = read_info(json.dumps({"title": "Births", "landingPage": [f"[page]({PAGE})", f"see {PAGE}.", "none"]}))

    assert info.landing_pages == [PAGE]


@settings(max_examples=300, deadline=None)
@given(value=st.recursive(st.none() | st.text(), lambda inner: st.dictionaries(st.text(), inner) | st.lists(inner)))
def test_any_value_names_somebody_or_nobody(value: Any) -> None:
    for agent in agents(value):
        assert agent.name or agent.address
        json.dumps(agent, ensure_ascii=False).encode()


@pytest.mark.parametrize("text", ["[" * 900_000, "[a](" * 200_000, "https://" * 100_000, "](h" * 300_000])
def test_no_text_takes_long(text: str) -> None:
    began = process_time()

    address_in(text)

    assert process_time() - began < within(1)
