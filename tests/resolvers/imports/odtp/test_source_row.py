"""Rows of ODTP's database answer values in our forms."""

from typing import Any

import pytest
from bson import ObjectId

from resolvers.imports.odtp.executions import tags
from resolvers.imports.odtp.source_row import SourceRow


def a_row(**values: Any) -> SourceRow:
    return SourceRow("executions", {"_id": ObjectId(), **values})


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        (["sea", "nets", " sea ", None, "", "Sea", 3, 3], ["sea", "nets", "Sea", "3"]),
        ("sea", ["sea"]),
        ([], []),
        (None, []),
    ],
)
def test_each_tag_is_kept_once_where_it_was_first(written: Any, kept: list[str]) -> None:
    assert a_row(tags=written).tags() == kept


def test_what_odtp_has_hidden_is_tagged_so_once() -> None:
    hidden, tagged = a_row(tags=["sea"], deprecated=True), a_row(tags=["deprecated", "sea"], deprecated=True)

    assert (tags(hidden), tags(tagged)) == (["sea", "deprecated"], ["deprecated", "sea"])
    assert hidden.notes == tagged.notes == ["It is deprecated in ODTP; taken with the tag deprecated."]
    assert tags(shown := a_row(tags=["deprecated"])) == ["deprecated"]
    assert shown.notes == []
