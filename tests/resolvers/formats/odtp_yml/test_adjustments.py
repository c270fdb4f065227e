"""Each change of what an odtp.yml says is noted at its place."""

import json
from typing import Any

import pytest

from resolvers.formats.odtp_yml.description import read_odtp_yml


@pytest.mark.parametrize(
    ("entries", "noted"),
    [
        (
            [{"name": 5, "datatype": "string", "description": 6}, {"name": {"a": 1}}, "Q"],
            [
                ("parameters.2", 'parameters has "Q" at 2, not a mapping; read as its name.'),
                ("parameters.0.name", 'parameters.0.name is 5, not a text; read as "5".'),
                ("parameters.0.description", 'parameters.0.description is 6, not a text; read as "6".'),
                ("parameters.1.name", 'parameters.1.name is {"a": 1}, not a text; left out.'),
                ("parameters.1", "Parameter 1 has no name; left out."),
                ("parameters.2.datatype", "Parameter Q has no datatype; read as string."),
            ],
        ),
        (
            [{"name": "P", "datatype": "string"}, {"name": "P"}],
            [("parameters.1", "Parameter P is described twice; the first is kept.")],
        ),
        (
            [
                {"name": "P", "datatype": "Int", "size": 1, "options": "x", "allow-custom-value": "maybe"},
                {"name": "Q", "datatype": "tree", "parameter-bounds": [0, 1]},
            ],
            [
                ("parameters.0.size", "Parameter P has an unknown key size, kept in the metadata only."),
                ("parameters.0.datatype", 'Parameter P has the datatype "Int"; read as integer.'),
                ("parameters.0.options", 'Parameter P has the options "x", not a list; read as a list of one.'),
                ("parameters.0.options.0", 'Parameter P has the option "x", which is not of type integer; left out.'),
                ("parameters.0.allow-custom-value", 'Parameter P has allow-custom-value "maybe"; read as false.'),
                ("parameters.1.datatype", 'Parameter Q has the unknown datatype "tree"; read as string.'),
                (
                    "parameters.1.parameter-bounds",
                    (
                        "Parameter Q has the parameter-bounds [0, 1], not two bounds of a number (the datatype is "
                        "string); left out."
                    ),
                ),
            ],
        ),
        (
            [
                {"name": "P", "datatype": "integer", "parameter-bounds": ["0", "many"], "options": ["1"]},
                {"name": "Q", "datatype": "integer", "parameter-bounds": [2, 1], "default-value": "many"},
                {"name": "R", "datatype": "integer", "default-value": "3"},
            ],
            [
                ("parameters.0.parameter-bounds.0", 'Parameter P has the bound "0"; read as 0.0.'),
                (
                    "parameters.0.parameter-bounds.1",
                    'Parameter P has the bound "many", which is not a number; left open.',
                ),
                ("parameters.0.options.0", 'Parameter P has the option "1"; read as 1.'),
                (
                    "parameters.1.parameter-bounds",
                    "Parameter Q has the parameter-bounds [2, 1], which no value meets; left out.",
                ),
                (
                    "parameters.1.default-value",
                    'Parameter Q has the default value "many", which is not of type integer; left out.',
                ),
                ("parameters.2.default-value", 'Parameter R has the default value "3"; read as 3.'),
            ],
        ),
        ({"P": {"datatype": "date"}}, [("parameters", "parameters is a mapping; read as a list of its entries.")]),
        ("P", [("parameters", 'parameters is "P", not a list; left out.')]),
    ],
)
def test_a_change_of_parameters_is_noted_at_its_place(entries: Any, noted: list[tuple[str, str]]) -> None:
    assert notes("parameters", entries) == noted


def test_a_change_of_ports_is_noted_at_its_place() -> None:
    entries = [
        {"name": 5, "port-value": "80:8501", "description": 6},
        {"name": "p", "port-value": "XXXX"},
        {"port-value": 80},
        {"name": "q"},
    ]

    assert notes("ports", entries) == [
        ("ports.0.name", 'ports.0.name is 5, not a text; read as "5".'),
        ("ports.0", 'Port 5 has the number "80:8501"; read as 8501.'),
        ("ports.0.description", 'ports.0.description is 6, not a text; read as "6".'),
        ("ports.1.port-value", 'Port p has the number "XXXX", which is not a port; left out.'),
        ("ports.2.name", "Port 80 has no name; called port-80."),
        ("ports.3.port-value", "Port q has no number; left out."),
    ]


def test_a_change_of_secrets_is_noted_at_its_place_without_their_values() -> None:
    entries = [{"name": 5}, {"name": "S", "value": "hunter2"}, {"description": "x"}]

    assert notes("secrets", entries) == [
        ("secrets.0.name", 'secrets.0.name is 5, not a text; read as "5".'),
        ("secrets.1", "Values given with secret S may reveal it and are not stored."),
        ("secrets.2", "Secret 2 has no name; left out."),
    ]
    assert notes("secrets", "hunter2") == [("secrets", "secrets is neither a list nor a mapping; left out.")]


def notes(section: str, entries: Any) -> list[tuple[str, str]]:
    """The paths and messages of the adjustments of one section."""
    described = {"schema-version": "v0.5.0", "component-name": "net", section: entries}
    description = read_odtp_yml(json.dumps(described))
    return [(".".join(one.path), one.message) for one in description.adjustments if one.path[:1] == [section]]
