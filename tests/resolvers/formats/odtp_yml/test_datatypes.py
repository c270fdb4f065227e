"""Values of parameters in their datatypes."""

from typing import Any

import pytest

from resolvers.formats.odtp_yml.datatypes import CoercionError, coerce
from resolvers.formats.yaml_scalar import Scalar


@pytest.mark.parametrize(
    ("value", "datatype", "coerced"),
    [
        *[(None, datatype, None) for datatype in ("string", "integer", "float", "boolean", "date")],
        ("5", "string", "5"),
        (5, "string", "5"),
        (True, "string", "true"),
        ({"å": [1.5, None, Scalar("0.10", 0.1)]}, "string", '{"å": [1.5, null, 0.1]}'),
        (Scalar("0.10", 0.1), "string", "0.10"),
        (Scalar("2024", 2024), "date", "2024"),
        (7, "integer", 7),
        (7.0, "integer", 7),
        (" +7 ", "integer", 7),
        ("7e2", "integer", 700),
        ("9" * 100, "integer", 10**100 - 1),
        (Scalar("0x10", 16), "integer", 16),
        (1.5, "float", 1.5),
        (2**70, "float", 2**70),
        ("1.5", "float", 1.5),
        (Scalar("1:30", 90), "float", 90),
        (False, "boolean", False),
        (" Yes ", "boolean", True),
        ("off", "boolean", False),
        (1, "boolean", True),
        (Scalar("no", False), "boolean", False),
    ],
)
def test_a_value_is_expressed_in_its_datatype(value: Any, datatype: str, coerced: Any) -> None:
    found = coerce(value, datatype)

    assert (found, type(found)) == (coerced, type(coerced))


@pytest.mark.parametrize(
    ("value", "datatype"),
    [
        *[(True, "integer"), (7.5, "integer"), ("7.5", "integer"), ("seven", "integer"), ([7], "integer")],
        *[(True, "float"), (float("inf"), "float"), ("nan", "float"), ("1,5", "float"), ({}, "float")],
        *[(2, "boolean"), ("y", "boolean"), ("", "boolean"), ([], "boolean")],
    ],
)
def test_a_value_that_its_datatype_cannot_express_is_refused(value: Any, datatype: str) -> None:
    with pytest.raises(CoercionError):
        coerce(value, datatype)
