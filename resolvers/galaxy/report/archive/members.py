"""The members of a report: their columns, and the patterns of their valid rows.

A report is tab-separated, with one header row, LF, no quoting and no escaping; null is the word None. Rows are
validated as bytes by one regular expression for each member, which also splits them.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from resolvers.galaxy.report.rejection import RejectionCode

# No leading zeros in an id, so that equal ids are equal bytes; 18 digits fit 64 bits.
ID = rb"(?:0|[1-9][0-9]{0,17})"
# A zero with seven decimals is written 0E-7 by Python. Forty digits and an exponent of two stay finite.
NUMBER = rb"-?[0-9]{1,40}(?:\.[0-9]{1,40})?(?:[eE][+-]?[0-9]{1,2})?"
TIME = rb"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-5][0-9](?:\.[0-9]{1,6})?|None"
SUFFIX = re.compile(r"(?:^|[./])(jobs|metric_num|metric_txt|params|datasets)\.tsv$")


class MemberKind(StrEnum):
    """The kind of a member, which is the end of its name."""

    JOBS = "jobs"
    METRIC_NUM = "metric_num"
    METRIC_TXT = "metric_txt"
    PARAMS = "params"
    DATASETS = "datasets"


@dataclass(frozen=True)
class Column:
    """One column: its pattern, and the message for values that do not match it."""

    name: str
    pattern: bytes
    code: RejectionCode
    expected: str
    max_length: int | None = None


@dataclass(frozen=True)
class MemberFormat:
    """The columns of one kind of member. `groups` says which columns stay together as one piece of a row."""

    kind: MemberKind
    columns: tuple[Column, ...]
    groups: tuple[tuple[int, int], ...]

    @cached_property
    def header(self) -> bytes:
        """The first line of the member."""
        return "\t".join(column.name for column in self.columns).encode()

    @cached_property
    def row(self) -> re.Pattern[bytes]:
        """Matches one valid line with its line feed, with one group for each of `groups`."""
        pieces = (rb"\t".join(b"(?:%b)" % c.pattern for c in self.columns[a:b]) for a, b in self.groups)
        return re.compile(b"^" + rb"\t".join(b"(%b)" % piece for piece in pieces) + rb"\n", re.MULTILINE)

    @cached_property
    def checks(self) -> tuple[re.Pattern[bytes], ...]:
        """One pattern for each column."""
        return tuple(re.compile(column.pattern) for column in self.columns)


def kind_of_member(name: str) -> MemberKind | None:
    """The kind of a member by the end of its name, whatever directories and report id precede it."""
    suffix = SUFFIX.search(name)
    return MemberKind(suffix[1]) if suffix else None


def _id_column(name: str) -> Column:
    return Column(name, ID, RejectionCode.BAD_NUMBER, "a whole number of at most 18 digits")


def _text_column(name: str, max_length: int, min_length: int = 1) -> Column:
    pattern = rb"[^\t\n]{%d,%d}" % (min_length, max_length)
    return Column(name, pattern, RejectionCode.MALFORMED_ROW, "a text that is not empty", max_length)


def _required_text_column(name: str, max_length: int) -> Column:
    """A text that may not be null."""
    pattern = rb"(?!None[\t\n]|None\Z)[^\t\n]{1,%d}" % max_length
    return Column(name, pattern, RejectionCode.MALFORMED_ROW, "a text that is neither empty nor null", max_length)


def _metrics_format(kind: MemberKind, value: Column) -> MemberFormat:
    return MemberFormat(
        kind,
        (_id_column("job_id"), _text_column("plugin", 500), _text_column("name", 500), value),
        ((0, 1), (1, 3), (3, 4)),
    )


FORMATS: dict[MemberKind, MemberFormat] = {
    form.kind: form
    for form in (
        MemberFormat(
            MemberKind.JOBS,
            (
                _id_column("id"),
                _required_text_column("tool_id", 1000),
                _text_column("tool_version", 250),
                _required_text_column("state", 60),
                Column("create_time", TIME, RejectionCode.BAD_TIMESTAMP, "a time such as 2017-06-02 19:18:30.059749"),
            ),
            ((0, 1), (1, 4), (4, 5)),
        ),
        _metrics_format(
            MemberKind.METRIC_NUM, Column("value", NUMBER, RejectionCode.BAD_NUMBER, "a finite decimal number")
        ),
        _metrics_format(MemberKind.METRIC_TXT, _text_column("value", 4000, min_length=0)),
        MemberFormat(
            MemberKind.PARAMS,
            (
                _id_column("job_id"),
                _text_column("name", 500),
                Column("value", rb"[^\t\n]+", RejectionCode.MALFORMED_ROW, "JSON"),
            ),
            ((0, 1), (1, 2), (2, 3)),
        ),
        MemberFormat(
            MemberKind.DATASETS,
            (
                _id_column("job_id"),
                _id_column("dataset_id"),
                _text_column("extension", 100, min_length=0),
                Column("file_size", rb"[0-9]{1,18}|-1|None", RejectionCode.BAD_NUMBER, "a size in bytes, -1 or None"),
                _text_column("param_name", 400, min_length=0),
                Column("type", rb"input|output", RejectionCode.MALFORMED_ROW, "input or output"),
            ),
            ((0, 1), (1, 2), (2, 3), (3, 4), (4, 6)),
        ),
    )
}
