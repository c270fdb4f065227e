"""Values of parameters: what a component version's own description lets pass, and how the rest is refused."""

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import documents
from documents.twins.component_version import ParameterDefinition
from resolvers.twins.parameter_warnings import MAX_WARNINGS, first_warnings, parameter_warnings
from resolvers.twins.parameters import freeze_parameters, override_parameters
from resolvers.user_errors import InvalidInput, Refusal, Refusals, collect_refusals
from tests.support.builders import COMMIT
from tests.support.patience import within


def a_version(*parameters: ParameterDefinition, secrets: list[str] | None = None) -> documents.ComponentVersion:
    # Without a database, which a document that is made in the usual way asks for.
    version: documents.ComponentVersion = documents.ComponentVersion.model_construct(
        component_ref="component_1",
        version="v1",
        commit_hash=COMMIT,
        parameters=list(parameters),
        secrets=secrets or [],
    )
    return version


def a_parameter(datatype: str, default: Any = None, options: list[Any] | None = None, **more: Any) -> Any:
    return ParameterDefinition(
        name="P",
        datatype=datatype,
        default_value=None if default is None else json.dumps(default),
        options=None if options is None else [json.dumps(option) for option in options],
        **more,
    )


def refused(version: documents.ComponentVersion, given: Any) -> list[tuple[tuple[str, ...], str]]:
    try:
        freeze_parameters(version, given, "parameters")
    except InvalidInput as one:
        return [(one.path, one.message)]
    except Refusals as several:
        return [(one.path, one.message) for one in several.refusals]
    raise AssertionError("nothing was refused")


@pytest.mark.parametrize(
    ("datatype", "given", "kept"),
    [
        ("string", "", ""),
        ("str", " kept as it is ", " kept as it is "),
        ("integer", 4, 4),
        ("integer", "4", 4),
        ("int", 4.0, 4),
        ("integer", 10**30, 10**30),
        ("float", 4, 4),
        ("float", 0.5, 0.5),
        ("float", "0.000001", 1e-06),
        ("boolean", False, False),
        ("bool", "TRUE", True),
        ("boolean", "False", False),
        ("date", "2024-02-29", "2024-02-29"),
        ("date", "2024-02-29T10:00:00Z", "2024-02-29T10:00:00Z"),
        ("date", "01.10.2018", "01.10.2018"),
    ],
)
def test_a_value_is_kept_in_its_datatype(datatype: str, given: Any, kept: Any) -> None:
    found = freeze_parameters(a_version(a_parameter(datatype)), {"P": given})

    assert (found, type(found["P"])) == ({"P": kept}, type(kept))


@pytest.mark.parametrize(
    ("datatype", "given", "message"),
    [
        ("string", 4, "P must be a text, not 4."),
        ("string", None, "P must be a text, not null."),
        ("string", ["a"], 'P must be a text, not ["a"].'),
        ("integer", "four", 'P must be a whole number, not "four".'),
        ("integer", 4.5, "P must be a whole number, not 4.5."),
        ("integer", True, "P must be a whole number, not true."),
        ("integer", None, "P must be a whole number, not null."),
        ("integer", {}, "P must be a whole number, not {}."),
        ("float", "inf", 'P must be a number, not "inf".'),
        ("float", "nan", 'P must be a number, not "nan".'),
        ("float", False, "P must be a number, not false."),
        ("boolean", 1, "P must be true or false, not 1."),
        ("boolean", "perhaps", 'P must be true or false, not "perhaps".'),
        ("date", "2023-02-29", 'P must be a date such as 2024-02-29, not "2023-02-29".'),
        ("date", "31.02.2018", 'P must be a date such as 2024-02-29, not "31.02.2018".'),
        ("date", "soon", 'P must be a date such as 2024-02-29, not "soon".'),
        ("date", 2024, "P must be a date such as 2024-02-29, not 2024."),
    ],
)
def test_a_value_of_another_datatype_is_refused(datatype: str, given: Any, message: str) -> None:
    assert refused(a_version(a_parameter(datatype)), {"P": given}) == [(("parameters", "P"), message)]


def test_options_bind_unless_other_values_are_allowed() -> None:
    closed = a_version(a_parameter("integer", options=[2, 4]))
    open_ = a_version(a_parameter("integer", options=[2, 4], allow_custom_value=True))
    free = a_version(a_parameter("integer"))

    assert freeze_parameters(closed, {"P": "4"}) == {"P": 4}
    assert refused(closed, {"P": 3}) == [(("parameters", "P"), "P must be one of 2, 4, not 3.")]
    assert freeze_parameters(open_, {"P": 3}) == freeze_parameters(free, {"P": 3}) == {"P": 3}


def test_bounds_hold_at_both_ends_and_open_ones_do_not() -> None:
    unit = a_version(a_parameter("float", minimum=0, maximum=1))
    # Bounds of "inf" and "-inf" become None when a description is read.
    upwards = a_version(a_parameter("integer", minimum=1, maximum=None))
    bounded_options = a_version(a_parameter("integer", options=[2], allow_custom_value=True, maximum=3))

    assert [freeze_parameters(unit, {"P": value})["P"] for value in (0, 0.5, 1, "1.0")] == [0, 0.5, 1, 1.0]
    assert refused(unit, {"P": -0.1}) == [(("parameters", "P"), "P must be at least 0, not -0.1.")]
    assert refused(unit, {"P": 1.01}) == [(("parameters", "P"), "P must be at most 1, not 1.01.")]
    assert freeze_parameters(upwards, {"P": 10**400}) == {"P": 10**400}
    assert refused(upwards, {"P": 0}) == [(("parameters", "P"), "P must be at least 1, not 0.")]
    assert refused(bounded_options, {"P": 4}) == [(("parameters", "P"), "P must be at most 3, not 4.")]


def test_defaults_are_filled_in_and_taken_even_outside_of_the_components_own_options() -> None:
    version = a_version(a_parameter("string", default="rg", options=["duration", "count"]))

    assert (
        freeze_parameters(version, None)
        == freeze_parameters(version, {})
        == freeze_parameters(version, {"P": "rg"})
        == {"P": "rg"}
    )
    assert refused(version, {"P": "other"})


@pytest.mark.parametrize("default", [False, 0, "", 0.0])
def test_a_default_that_looks_like_nothing_is_one(default: Any) -> None:
    datatype = {bool: "boolean", int: "integer", str: "string", float: "float"}[type(default)]

    assert freeze_parameters(a_version(a_parameter(datatype, default=default)), {}) == {"P": default}


def test_everything_that_is_wrong_is_told_at_once_and_secrets_are_not_repeated() -> None:
    version = a_version(
        a_parameter("integer"),
        ParameterDefinition(name="Q", datatype="boolean"),
        secrets=["TOKEN", "HF_KEY"],
    )

    assert refused(
        version, {"TOKEN": "hunter2", "hf-key": "hunter3", "q": 1, "P": "x", "": 1, "A\nB": 1, "é" * 128: 1}
    ) == [
        (("parameters", "P"), 'P must be a whole number, not "x".'),
        (("parameters", "Q"), "Q has no default, so a value must be given."),
        (("parameters", "TOKEN"), "TOKEN is a secret: workers know its value, which must not be sent to this server."),
        (
            ("parameters", "hf-key"),
            '"hf-key" is written like the secret HF_KEY, whose value must not be sent to this server.',
        ),
        (("parameters", ""), 'A parameter\'s name is one line of 1 to 255 bytes that is not blank, not "".'),
        (("parameters", "A\nB"), 'A parameter\'s name is one line of 1 to 255 bytes that is not blank, not "A\\nB".'),
        (
            ("parameters", "é" * 128),
            f"A parameter's name is one line of 1 to 255 bytes that is not blank, not \"{'é' * 56}….",
        ),
    ]
    assert refused(version, [1]) == [(("parameters",), "parameters must be an object of values by name, not [1].")]


@pytest.mark.parametrize("value", ["TRUE", "", 4, 0.5, False, None, ["a"], {"b": [1]}])
def test_what_a_version_does_not_declare_is_passed_on_as_it_was_given(value: Any) -> None:
    version = a_version(a_parameter("integer", default=1))

    assert freeze_parameters(version, {"$where": value}) == {"P": 1, "$where": value}
    assert override_parameters(version, {"P": 2, "OLD": 1}, {"$where": value}) == {"P": 2, "OLD": 1, "$where": value}
    assert list(freeze_parameters(version, {"b": 1, "P": 3, "a": 2})) == ["P", "b", "a"]


def test_a_name_that_is_a_secret_as_well_is_taken_only_where_it_is_given() -> None:
    version = a_version(ParameterDefinition(name="LINK", datatype="string"), secrets=["LINK"])

    assert freeze_parameters(version, {}) == {}
    assert freeze_parameters(version, {"LINK": "https://example.org/a"}) == {"LINK": "https://example.org/a"}


def test_switches_of_odtps_own_start_script_are_taken_by_every_component_and_its_credentials_by_none() -> None:
    version = a_version()
    described = a_version(ParameterDefinition(name="ODTP_LOGS_IN_DB", datatype="boolean", default_value="false"))

    assert freeze_parameters(version, {"ODTP_LOG_PAGE_SIZE": "20"}) == {"ODTP_LOG_PAGE_SIZE": "20"}
    assert freeze_parameters(described, {}) == {"ODTP_LOGS_IN_DB": False}
    assert refused(described, {"ODTP_LOGS_IN_DB": "maybe"})
    assert refused(version, {"ODTP_LOGS_IN_DB": []}) == [
        (("parameters", "ODTP_LOGS_IN_DB"), "ODTP_LOGS_IN_DB must be a text, a number or a boolean.")
    ]
    assert refused(version, {"ODTP_SECRET_KEY": "hunter2"}) == [
        (
            ("parameters", "ODTP_SECRET_KEY"),
            "ODTP_SECRET_KEY is a secret: workers know its value, which must not be sent to this server.",
        )
    ]


def warnings(version: documents.ComponentVersion, given: Any) -> list[str]:
    found = first_warnings(parameter_warnings(version, given, "steps", "0", "parameters"))
    assert all(one["path"][:4] == ["input", "steps", "0", "parameters"] for one in found[:MAX_WARNINGS])
    return [one["message"] for one in found]


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("MESHH", "MESH"),
        ("mesh", "MESH"),
        ("MSEH", "MESH"),
        ("learning-rate", "LEARNING_RATE"),
        ("LEARNINGRATE", "LEARNING_RATE"),
        ("WIND", None),
        ("M", None),
    ],
)
def test_what_is_not_declared_is_warned_of_with_the_nearest_name(name: str, nearest: str | None) -> None:
    version = a_version(*(ParameterDefinition(name=one, datatype="string") for one in ("MESH", "LEARNING_RATE")))

    meant = f" The most similar one that it declares is {nearest}." if nearest else ""
    assert warnings(version, {name: 1, "MESH": "a", "ODTP_LOGS_IN_DB": "TRUE"}) == [
        f'Version v1 declares no parameter "{name}"; its value is passed on unchanged.{meant}'
    ]


def test_what_is_a_secret_as_well_is_warned_of() -> None:
    version = a_version(ParameterDefinition(name="LINK", datatype="string"), secrets=["LINK"])

    assert warnings(version, {"LINK": "a"}) == [
        (
            "Version v1 declares LINK as a parameter and as a secret. A value given here is stored, and shown with the "
            "step: leave it out if it is secret."
        )
    ]
    assert warnings(version, None) == warnings(version, {}) == []


def test_warnings_are_bounded_and_made_within_a_second() -> None:
    for stem in ("LONG_NAME_" * 3, "LONGER_NAME_" * 500):
        names = [f"{stem}{number}" for number in range(20_000)]
        version = a_version(*(ParameterDefinition(name=name, datatype="string") for name in names))
        began = time.process_time()

        found = warnings(version, {f"{name}x": 1 for name in names})

        assert len(found) == MAX_WARNINGS + 1
        assert found[-1] == "There are more than 100 warnings; no more are listed."
        assert time.process_time() - began < within(1)


def test_values_that_were_frozen_stay_but_for_those_that_are_replaced() -> None:
    version = a_version(a_parameter("integer", default=1, maximum=9), ParameterDefinition(name="Q", datatype="string"))

    assert override_parameters(version, {"P": 99, "Q": "q", "OLD": []}, {"Q": "r"}) == {"P": 99, "Q": "r", "OLD": []}
    assert override_parameters(version, {"Q": "q"}, {"P": "2"}) == {"Q": "q", "P": 2}
    with pytest.raises(Refusals) as caught:
        override_parameters(version, {"Q": "q"}, {"P": 10, "ODTP_ACCESS_KEY": 1}, "parameters")
    assert {one.path for one in caught.value.refusals} == {("parameters", "P"), ("parameters", "ODTP_ACCESS_KEY")}


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(["string", "integer", "float", "boolean", "date"]), ANYTHING)
def test_whatever_is_given_is_either_refused_or_kept_as_json_that_is_taken_again(datatype: str, value: Any) -> None:
    version = a_version(a_parameter(datatype, minimum=-5 if datatype in ("integer", "float") else None))
    refusals: list[Refusal] = []
    found: dict[str, Any] = {}
    with collect_refusals(refusals):
        found = freeze_parameters(version, {"P": value}, "parameters")

    assert [one.path for one in refusals] == ([] if found else [("parameters", "P")])
    if found:
        assert freeze_parameters(version, json.loads(json.dumps(found, allow_nan=False))) == found
