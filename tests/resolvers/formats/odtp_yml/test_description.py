"""odtp.yml is read in both of its forms with a note of every change, and anything else is refused in words."""

import json
import random
import time
from collections import Counter
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from resolvers.formats.odtp_yml.adjustments import Adjustment
from resolvers.formats.odtp_yml.datatypes import DATATYPES
from resolvers.formats.odtp_yml.description import ComponentDescription, read_odtp_yml
from resolvers.formats.odtp_yml.parameters import Parameter
from resolvers.formats.odtp_yml.ports import Port
from resolvers.user_errors import InvalidInput
from tests.support.needs import need_shared_data
from tests.support.patience import within

CURRENT = """\
schema-version: "v0.5.0"
component-name: net-mender
component-version: "v0.10"
component-license: AGPL-3.0
component-type: interactive
component-description: Mends nets
component-authors:
  - {name: Ada, orcid: null}
  - {name: Grace, orcid: null}
component-repository: {url: "https://example.org/nets", doi: null}
component-docker-image: "example/nets:v0.10"
tags: [nets, sea]
tools: null
secrets:
  - {name: TOKEN, datatype: string, description: For the sea}
ports:
  - {name: app, description: The page, port-value: 8501}
parameters:
  - name: MESH
    datatype: integer
    default-value: 4
    description: Width
    parameter-bounds: [1, inf]
    options: [2, 4]
    allow-custom-value: true
data-output: null
devices:
  - {type: gpu, required: false}
"""

OLDER = """\
component-name: net-mender
component-version: 0.10
component-author: Ada & Grace
component-repository: https://example.org/nets
component-type: ephemeral or interactive
devices:
    gpu: false
ports:
  - {name: PORT A, description: x, port-value: XXXX}
  - {name: app, description: x, port-value: "8080:8501"}
parameters:
  - {name: RATE, datatype: str, default-value: 5}
  - {name: FAST, datatype: bool, default-value: "yes"}
"""


def read(values: Any) -> ComponentDescription:
    """The description of a component with these values, a name and a schema version."""
    return read_odtp_yml(json.dumps({"schema-version": "v0.5.0", "component-name": "net", **values}))


def of_parameter(**entry: Any) -> tuple[Parameter, list[str]]:
    """One parameter, and what was said about it."""
    description = read({"parameters": [{"name": "P", **{key.replace("_", "-"): held for key, held in entry.items()}}]})
    about = [note.message for note in description.adjustments if note.path[0] == "parameters"]
    return description.parameters[0], about


def test_the_current_form_is_read_without_an_adjustment() -> None:
    description = read_odtp_yml(CURRENT)

    assert description.adjustments == []
    assert description.component_name == "net-mender"
    assert description.component_version == "v0.10"
    assert description.author == "Ada, Grace"
    assert description.type == "interactive"
    assert description.description == "Mends nets"
    assert description.tags == ["nets", "sea"]
    assert description.docker_image == "example/nets:v0.10"
    assert description.repository == "https://example.org/nets"
    assert description.license == "AGPL-3.0"
    assert description.parameters == [Parameter("MESH", "integer", 4, "Width", [2, 4], True, 1.0, None)]
    assert description.ports == [Port("app", "The page", 8501)]
    assert description.secrets == ["TOKEN"]
    assert json.loads(description.metadata) == yaml.safe_load(CURRENT)
    assert list(json.loads(description.metadata)) == list(yaml.safe_load(CURRENT))


def test_the_older_form_is_read_and_every_change_is_noted() -> None:
    description = read_odtp_yml(OLDER)

    assert description.component_version == "0.10"
    assert description.author == "Ada & Grace"
    assert description.repository == "https://example.org/nets"
    assert description.type == "ephemeral"
    assert description.ports == [Port("app", "x", 8501)]
    assert [(p.name, p.datatype, p.default_value) for p in description.parameters] == [
        ("RATE", "string", "5"),
        ("FAST", "boolean", True),
    ]
    assert [(note.path, note.message) for note in description.adjustments] == [
        (["schema-version"], "schema-version is missing; read as the form before v0.5."),
        (
            ["devices"],
            'devices is the mapping {"gpu": false}; understood as [{"type": "gpu", "required": false}].',
        ),
        (["component-version"], 'component-version is 0.10, not a text; read as "0.10".'),
        (
            ["component-author"],
            'component-author is one text, "Ada & Grace"; component-authors is a list since v0.5.',
        ),
        (
            ["component-type"],
            (
                'component-type is "ephemeral or interactive", none of ephemeral, interactive, persistent;'
                " read as ephemeral."
            ),
        ),
        (
            ["component-repository"],
            'component-repository is "https://example.org/nets"; a mapping with url and doi since v0.5.',
        ),
        (["parameters", "0", "datatype"], 'Parameter RATE has the datatype "str"; read as string.'),
        (["parameters", "0", "default-value"], 'Parameter RATE has the default value 5; read as "5".'),
        (["parameters", "1", "datatype"], 'Parameter FAST has the datatype "bool"; read as boolean.'),
        (["parameters", "1", "default-value"], 'Parameter FAST has the default value "yes"; read as true.'),
        (["ports", "0", "port-value"], 'Port PORT A has the number "XXXX", which is not a port; left out.'),
        (["ports", "1"], 'Port app has the number "8080:8501"; read as 8501.'),
    ]


@pytest.mark.parametrize(
    ("datatype", "written", "value", "changed"),
    [
        ("integer", 4, 4, False),
        ("integer", "4", 4, True),
        ("integer", 4.0, 4, True),
        ("integer", "many", None, True),
        ("integer", True, None, True),
        ("float", 0, 0, False),
        ("float", "1e-06", 1e-06, True),
        ("float", "inf", None, True),
        ("boolean", False, False, False),
        ("boolean", "No", False, True),
        ("boolean", 1, True, True),
        ("boolean", "perhaps", None, True),
        ("date", "01.10.2018", "01.10.2018", False),
        ("string", {"a": [1]}, '{"a": [1]}', True),
        ("string", None, None, False),
        ("string", "", "", False),
    ],
)
def test_defaults_take_their_datatype(datatype: str, written: Any, value: Any, changed: bool) -> None:
    parameter, notes = of_parameter(datatype=datatype, default_value=written)

    assert (parameter.default_value, type(parameter.default_value)) == (value, type(value))
    assert bool(notes) is changed


def test_options_take_the_datatype_too_and_named_ones_give_their_value() -> None:
    parameter, notes = of_parameter(datatype="integer", options=[1, "2", {"name": "Three", "value": 3}, "x"])

    assert parameter.options == [1, 2, 3]
    assert notes == [
        'Parameter P has the option "2"; read as 2.',
        'Parameter P has the option {"name": "Three", "value": 3}; read as 3.',
        'Parameter P has the option "x", which is not of type integer; left out.',
    ]


@pytest.mark.parametrize(
    ("bounds", "minimum", "maximum", "noted"),
    [
        ([0, "inf"], 0.0, None, False),
        (["-inf", 2.5], None, 2.5, False),
        ([None, None], None, None, False),
        (["0", "1e3"], 0.0, 1000.0, True),
        ([0, "many"], 0.0, None, True),
        ([2, 1], None, None, True),
        ([0], None, None, True),
        ({"min": 0}, None, None, True),
        ([True, 10**99], None, 1e99, True),
    ],
)
def test_bounds_are_numbers_or_open(bounds: Any, minimum: float | None, maximum: float | None, noted: bool) -> None:
    parameter, notes = of_parameter(datatype="float", parameter_bounds=bounds)

    assert (parameter.minimum, parameter.maximum) == (minimum, maximum)
    assert bool(notes) is noted


def test_an_unknown_datatype_is_a_string_and_its_bounds_mean_nothing() -> None:
    parameter, notes = of_parameter(datatype="DATATYPE_A", parameter_bounds=[0, "inf"])

    assert (parameter.datatype, parameter.minimum) == ("string", None)
    assert notes == [
        'Parameter P has the unknown datatype "DATATYPE_A"; read as string.',
        (
            'Parameter P has the parameter-bounds [0, "inf"], not two bounds of a number (the datatype is string);'
            " left out."
        ),
    ]


@pytest.mark.parametrize(
    ("ports", "read_as", "notes"),
    [
        ([{"name": "a", "port-value": 8501, "description": "d"}], [Port("a", "d", 8501)], 0),
        ([{"name": "a", "port-value": "8501"}], [Port("a", None, 8501)], 1),
        ([{"name": "a", "container-port": 80}], [Port("a", None, 80)], 0),
        ([{"name": "a", "port-value": 65536}, {"name": "b", "port-value": 0}], [], 2),
        ([{"name": "a", "port-value": -1}, {"name": "b"}, None, 2.5], [], 5),
        ([8501], [Port("port-8501", None, 8501)], 3),
        ("8501", [], 1),
        (None, [], 0),
    ],
)
def test_ports_are_numbers_between_1_and_65535(ports: Any, read_as: list[Port], notes: int) -> None:
    description = read({"ports": ports})

    assert description.ports == read_as
    assert len([note for note in description.adjustments if note.path[0] == "ports"]) == notes


@pytest.mark.parametrize(
    "secrets",
    [
        [{"name": "TOKEN", "default-value": "hunter2"}],
        [{"name": "TOKEN", "options": ["hunter2"]}],
        [{"TOKEN": "hunter2"}],
        {"TOKEN": "hunter2"},
        {"TOKEN": {"value": "hunter2"}},
        "hunter2",
    ],
)
def test_a_secrets_value_is_kept_nowhere(secrets: Any) -> None:
    description = read({"secrets": secrets})

    assert "hunter2" not in repr(description)
    assert any(note.path[0] == "secrets" for note in description.adjustments)


def test_what_was_overlooked_is_noted_by_its_path() -> None:
    text = CURRENT + "licence: x\ntags: [net]\n"

    description = read_odtp_yml(text)

    assert description.tags == ["net"]
    assert description.adjustments == [
        Adjustment(["tags"], "tags is given more than once; the last value is kept."),
        Adjustment(["licence"], "licence is not a key of an odtp.yml; kept in the metadata only."),
    ]


def test_a_name_is_as_long_as_lists_can_be_ordered_by() -> None:
    description = read({"component-name": "n" * 20_000})

    assert description.component_name == "n" * 9_999 + "…"
    assert (["component-name"], "component-name has 20,000 characters; cut to 10,000.") in [
        (one.path, one.message) for one in description.adjustments
    ]


def test_a_parameter_described_twice_is_kept_once() -> None:
    description = read({"parameters": [{"name": "P", "datatype": "string"}, {"name": "P", "datatype": "float"}, {}]})

    assert [(p.name, p.datatype) for p in description.parameters] == [("P", "string")]
    assert [note.message for note in description.adjustments if note.path[0] == "parameters"] == [
        "Parameter P is described twice; the first is kept.",
        "Parameter 2 has no name; left out.",
    ]


def test_dates_stay_as_they_are_written() -> None:
    description = read_odtp_yml("component-name: net\ncomponent-version: 2021-02-30\nx: {2020-01-01: 2020-01-02}\n")

    assert description.component_version == "2021-02-30"
    assert json.loads(description.metadata)["x"] == {"2020-01-01": "2020-01-02"}


NOT_TEXTS = [
    "3.10", "1.0", "007", "0x1F", "0b11", "1_000", "22:22", "190:20:30.5", "+1", "1.", ".5", "6.8523015e+5", ".inf",
    ".NaN", "yes", "No", "on", "OFF", "True", "FALSE", "=", "<<", "2021-02-30", "2021-01-01 10:00:00",
]  # fmt: skip
"""Texts that YAML 1.1 takes for something else."""


@pytest.mark.parametrize("text", NOT_TEXTS)
def test_a_text_is_what_is_written_whatever_yaml_1_1_makes_of_it(text: str) -> None:
    description = read_odtp_yml(f"""\
component-name: {text}
component-version: {text}
component-title: {text}
component-license: {text}
component-docker-image: {text}
component-authors: [{{name: {text}, orcid: {text}}}]
tags: [{text}, sea]
tools: [{{tool-name: {text}, tool-version: {text}, tool-authors: [{{name: {text}}}]}}]
build-args: {{PYTHON: {text}, MORE: {{{text}x: {text}}}}}
secrets: [{text}]
parameters:
  - {{name: {text}, datatype: string, default-value: {text}, description: {text}, options: [{text}, b]}}
  - {{name: D, datatype: date, default-value: {text}}}
  - {{name: N, default-value: {text}}}
""")
    metadata = json.loads(description.metadata)

    assert description.component_name == description.component_version == description.title == text
    assert description.license == description.docker_image == description.author == text
    assert description.tags == metadata["tags"] == [text, "sea"]
    assert metadata["tools"] == [{"tool-name": text, "tool-version": text, "tool-authors": [{"name": text}]}]
    assert metadata["build-args"] == {"PYTHON": text, "MORE": {f"{text}x": text}}
    assert description.secrets == metadata["secrets"] == [text]
    first, *others = description.parameters
    assert (first.name, first.default_value, first.description, first.options) == (text, text, text, [text, "b"])
    assert [one.default_value for one in others] == [text, text]
    assert [one["default-value"] for one in metadata["parameters"]] == [text] * 3


@pytest.mark.parametrize("name", ["no", "ON", "1.10", "22:22", "0x10", "null", "~", "2021-01-01"])
def test_a_name_is_what_is_written_too(name: str) -> None:
    description = read_odtp_yml(f"component-name: n\nparameters:\n  {name}: {{datatype: string}}\nx: {{{name}: 1}}\n")

    assert [one.name for one in description.parameters] == [name]
    assert json.loads(description.metadata)["x"] == {name: 1}


@pytest.mark.parametrize(
    ("datatype", "written", "value", "noted"),
    [
        ("integer", "4", 4, None),
        ("integer", "010", 8, "Parameter P has the default value 010; read as 8."),
        ("integer", "1_000", 1000, None),
        ("integer", "22:22", 1342, "Parameter P has the default value 22:22; read as 1342."),
        ("float", "3.10", 3.1, None),
        ("float", "0x10", 16, "Parameter P has the default value 0x10; read as 16."),
        ("float", ".inf", None, "Parameter P has the default value .inf, which is not of type float; left out."),
        ("boolean", "yes", True, None),
        ("boolean", "1", True, "Parameter P has the default value 1; read as true."),
    ],
)
def test_a_number_is_noted_where_people_would_read_another(
    datatype: str, written: str, value: Any, noted: str | None
) -> None:
    entry = f"{{name: P, datatype: {datatype}, default-value: {written}}}"
    description = read_odtp_yml(f"component-name: n\nparameters: [{entry}]")

    default = description.parameters[0].default_value
    assert (default, type(default)) == (value, type(value))
    assert [note.message for note in description.adjustments if note.path[0] == "parameters"] == ([noted] * bool(noted))


@pytest.mark.parametrize(
    ("written", "port", "notes"),
    [
        ("8501", 8501, 0),
        ("22:22", 22, 1),
        ("50:8501", 8501, 1),
        ("02501", 2501, 1),
        ("0x2135", 8501, 1),
        ("yes", None, 1),
        ("8501.5", None, 1),
    ],
)
def test_the_number_of_a_port_is_what_is_written(written: str, port: int | None, notes: int) -> None:
    text = f"component-name: n\nports: [{{name: web, port-value: {written}}}]\n"
    bare = read_odtp_yml(f"component-name: n\nports: [{written}]\n")

    description = read_odtp_yml(text)

    assert [one.container_port for one in description.ports] == ([port] if port else [])
    assert len([note for note in description.adjustments if note.path[0] == "ports"]) == notes
    assert [one.container_port for one in bare.ports] == ([port] if port and written != "0x2135" else [])


def test_metadata_keep_numbers_where_json_says_what_is_written() -> None:
    description = read_odtp_yml(
        "component-name: n\nx: {a: 1.5, b: 3.10, c: 1e400, d: 0x10, e: yes, f: 12}\n"
        "parameters: [{name: P, datatype: float, default-value: 3.10, parameter-bounds: [0.50, 10:00]}]\n"
        "devices: {gpu: no}\n"
    )

    metadata = json.loads(description.metadata)
    assert metadata["x"] == {"a": 1.5, "b": "3.10", "c": "1e400", "d": "0x10", "e": True, "f": 12}
    assert metadata["parameters"][0] | {"name": ""} == {
        "name": "", "datatype": "float", "default-value": 3.1, "parameter-bounds": [0.5, "10:00"]
    }  # fmt: skip
    assert metadata["devices"] == {"gpu": False}


def test_tabs_are_read_as_spaces_only_where_yaml_cannot_take_them() -> None:
    needed = read_odtp_yml("component-name: \tnet\ntags:\n\t- a\n")
    harmless = read_odtp_yml('component-name: net # \tx\ncomponent-description: "a\tb"\n')

    assert (needed.component_name, needed.tags) == ("net", ["a"])
    assert needed.adjustments[0].message == "The odtp.yml has tabs where YAML allows none; each is read as four spaces."
    assert harmless.description == "a\tb"
    assert all("tabs" not in note.message for note in harmless.adjustments)


BOMB = "component-name: n\na: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefg", "bcdefgh", strict=True)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "The odtp.yml is empty."),
        ("# only a comment\n", "The odtp.yml is empty."),
        ("---\n...\n", "The odtp.yml is empty."),
        ("- component-name: net\n", "The odtp.yml is a list, not a mapping of names to values."),
        ("net", "The odtp.yml is a single value, not a mapping of names to values."),
        ("a: `b`", "The odtp.yml is not YAML: found character "),
        ("a: 1\n---\nb: 2", "The odtp.yml is not YAML: "),
        ("a: !!python/object:os.system x", "The odtp.yml is not YAML: could not determine a constructor"),
        ("a: !!timestamp 2021-02-30", "The odtp.yml holds a value that is not what its tag says"),
        ("component-name: 'a\0b'", "The odtp.yml holds a NUL character at 18."),
        ('component-name: "a\\0b"', "The odtp.yml holds a NUL character, in 'a\\x00b'."),
        ("component-name: \ud800", "The odtp.yml holds a lone surrogate (half of a character)"),
        ("tags: []", "The odtp.yml's component-name is missing; a component needs a name."),
        ("component-name: ' '", "The odtp.yml's component-name is \" \"; a component needs a name."),
        ("component-name: [a]", 'The odtp.yml\'s component-name is ["a"]; a component needs a name.'),
        ("component-name: n\nsteps: []", "This odtp.yml describes an execution and its steps, not a component."),
        ("component-name: n\nx: " + "[" * 51, "The odtp.yml is nested more than 50 levels deep."),
        ("[" * 200_000, "The odtp.yml is nested more than 50 levels deep."),
        (BOMB, "The odtp.yml refers back to its own parts (*name) more than 10 times."),
        ("component-name: n\nx: &x [*x, *x]", "The odtp.yml expands to more than 50,000 values, or without end."),
        ("component-name: n\nx: [" + "0," * 120_000, "The odtp.yml has more than 50,000 values."),
        ("component-name: " + "n" * 256_000, "The odtp.yml is larger than 256,000 bytes."),
    ],
)  # fmt: skip
def test_what_describes_no_component_is_refused_in_words(text: str, message: str) -> None:
    began = time.process_time()

    with pytest.raises(InvalidInput) as refusal:
        read_odtp_yml(text)

    assert refusal.value.message.startswith(message)
    assert time.process_time() - began < within(1)


def test_numbers_beyond_reason_stay_texts() -> None:
    description = read_odtp_yml(f"component-name: net\na: {'9' * 5000}\nb: {'1:' * 9000}1\nc: .inf\nd: 0b_\ne: 1.5\n")

    metadata = json.loads(description.metadata)
    assert (len(metadata["a"]), metadata["c"], metadata["e"]) == (5000, ".inf", 1.5)
    assert isinstance(metadata["b"], str)


def test_adjustments_are_bounded() -> None:
    description = read({"ports": ["x"] * 5000})

    assert len(description.adjustments) == 501
    assert description.adjustments[-1].message == "There are more than 500 adjustments; no more are listed."


def test_the_largest_file_is_read_within_three_seconds() -> None:
    text = "component-name: net\nx:\n" + "- {a: 1}\n" * 24_000
    began = time.process_time()

    read_odtp_yml(text)

    assert time.process_time() - began < within(3)


def test_a_few_aliases_are_fine() -> None:
    description = read_odtp_yml("component-name: net\nx: &x {a: 1}\ny: *x\nz: {<<: *x, b: 2}\n")

    assert json.loads(description.metadata)["z"] == {"a": 1, "b": 2}
    assert json.loads(read_odtp_yml("component-name: net\nx: &x {<<: *x, a: 1}\n").metadata)["x"] == {"a": 1}


KEYS = st.sampled_from(
    ["component-name", "component-type", "component-version", "component-authors", "component-author", "tags", "ports",
     "component-repository", "parameters", "secrets", "devices", "name", "datatype", "default-value", "options", "url",
     "parameter-bounds", "allow-custom-value", "port-value", "value", "schema-version"]
)  # fmt: skip
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | st.sampled_from([*DATATYPES])
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS | SCALARS, inner, max_size=6),
    max_leaves=25,
)


def is_storable(description: ComponentDescription) -> bool:
    json.loads(description.metadata.encode())
    json.dumps([p.default_value for p in description.parameters], ensure_ascii=False, allow_nan=False).encode()
    repr(description).encode()
    return all(p.datatype in DATATYPES.values() for p in description.parameters)


@settings(max_examples=400, deadline=None)
@given(values=st.dictionaries(KEYS, VALUES, max_size=8))
def test_any_mapping_is_read_or_refused(values: dict[str, Any]) -> None:
    try:
        description = read_odtp_yml(yaml.dump({"component-name": "net", **values}, allow_unicode=True))
    except InvalidInput:
        return

    assert is_storable(description)


@settings(max_examples=400, deadline=None)
@given(text=st.text() | st.text(alphabet="-:{}[]&*!|>'\"%@`#?,~ \n\tab01.<", max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    for candidate in (text, f"component-name: net\nx: {text}"):
        try:
            description = read_odtp_yml(candidate)
        except InvalidInput:
            continue
        assert is_storable(description)


def test_files_with_parts_cut_and_swapped_are_read_or_refused() -> None:
    chance = random.Random(5)
    outcomes: Counter[bool] = Counter()

    for _ in range(1500):
        letters = list(chance.choice([CURRENT, OLDER]))
        for _ in range(chance.randint(1, 6)):
            here, there = sorted(chance.sample(range(len(letters)), 2))
            letters[here : here + chance.randint(0, 3)] = letters[there : there + chance.randint(0, 3)]
        try:
            outcomes[is_storable(read_odtp_yml("".join(letters)))] += 1
        except InvalidInput:
            outcomes[False] += 1

    assert outcomes[True] > 100
    assert outcomes[False] > 100


@pytest.mark.parametrize("tags", ["[nets, sea, nets, ' sea ']", "nets, sea,nets , sea", "[nets, null, sea, '', nets]"])
def test_a_tag_that_is_given_twice_is_kept_once(tags: str) -> None:
    assert read_odtp_yml(CURRENT.replace("[nets, sea]", tags)).tags == ["nets", "sea"]


@pytest.mark.parametrize(
    "repository",
    [
        "ssh://git@code.example/nets.git",
        "git@code.example:nets.git",
        "git://code.example/nets.git",
        "https://code.example/nets.git",
    ],
)
def test_repositories_are_addresses_of_any_protocol_of_git(repository: str) -> None:
    description = read_odtp_yml(CURRENT.replace("https://example.org/nets", repository))

    assert (description.repository, description.adjustments) == (repository, [])


@pytest.mark.parametrize("repository", ["nets", "code.example/nets", "ssh:code.example/nets", "gitx@code.example"])
def test_a_repository_that_is_no_address_is_left_out_and_noted(repository: str) -> None:
    description = read_odtp_yml(CURRENT.replace("https://example.org/nets", repository))

    note = Adjustment(["component-repository"], f'component-repository "{repository}" is not an address; left out.')
    assert (description.repository, description.adjustments) == (None, [note])


def test_every_real_file_is_read_but_those_the_validator_could_not_load() -> None:
    data = need_shared_data() / "odtp"
    verdicts = json.loads((data / "validation_oracle.json").read_text())
    outcomes: Counter[str] = Counter()

    for path in sorted((data / "yml").iterdir()):
        verdict = verdicts[path.name]
        loads = not verdict["errors"] or not verdict["errors"][0].startswith(("empty", "YAML"))
        try:
            description = read_odtp_yml(path.read_text())
        except InvalidInput:
            outcomes["refused"] += 1
            assert not loads, path.name
            continue
        assert loads, path.name
        assert is_storable(description)
        outcomes["valid" if verdict["valid"] else "adjusted"] += 1
        if verdict["valid"]:
            trivial = ("read as boolean.", "read as string.", "read as integer.", "the last value is kept.")
            assert [note.message for note in description.adjustments if not note.message.endswith(trivial)] == []
        else:
            assert description.adjustments

    assert outcomes == {"refused": 5, "valid": 8, "adjusted": 35}
