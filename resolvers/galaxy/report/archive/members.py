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


class Kind(StrEnum):
    """A member by the end of its name."""

    JOBS = "jobs"
    METRIC_NUM = "metric_num"
    METRIC_TXT = "metric_txt"
    PARAMS = "params"
    DATASETS = "datasets"


@dataclass(frozen=True)
class Column:
    """One column: its pattern, and the message when a value does not match."""

    name: str
    pattern: bytes
    code: RejectionCode
    wants: str
    longest: int | None = None


@dataclass(frozen=True)
class Form:
    """The columns of one kind of member. `groups` says which columns stay together as one piece of a row."""

    kind: Kind
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


def kind_of_member(name: str) -> Kind | None:
    """The kind of member that a name stands for, whatever directories and report id precede its end."""
    found = SUFFIX.search(name)
    return Kind(found[1]) if found else None


def _id(name: str) -> Column:
    return Column(name, ID, RejectionCode.BAD_NUMBER, "a whole number of at most 18 digits")


def _text(name: str, longest: int, shortest: int = 1) -> Column:
    pattern = rb"[^\t\n]{%d,%d}" % (shortest, longest)
    return Column(name, pattern, RejectionCode.MALFORMED_ROW, "a text that is not empty", longest)


def _present(name: str, longest: int) -> Column:
    """A text that may not be null."""
    pattern = rb"(?!None[\t\n]|None\Z)[^\t\n]{1,%d}" % longest
    return Column(name, pattern, RejectionCode.MALFORMED_ROW, "a text that is neither empty nor null", longest)


def _metrics(kind: Kind, value: Column) -> Form:
    return Form(kind, (_id("job_id"), _text("plugin", 500), _text("name", 500), value), ((0, 1), (1, 3), (3, 4)))


FORMS: dict[Kind, Form] = {
    form.kind: form
    for form in (
        Form(
            Kind.JOBS,
            (
                _id("id"),
                _present("tool_id", 1000),
                _text("tool_version", 250),
                _present("state", 60),
                Column("create_time", TIME, RejectionCode.BAD_TIMESTAMP, "a time such as 2017-06-02 19:18:30.059749"),
            ),
            ((0, 1), (1, 4), (4, 5)),
        ),
        _metrics(Kind.METRIC_NUM, Column("value", NUMBER, RejectionCode.BAD_NUMBER, "a finite decimal number")),
        _metrics(Kind.METRIC_TXT, _text("value", 4000, shortest=0)),
        Form(
            Kind.PARAMS,
            (
                _id("job_id"),
                _text("name", 500),
                Column("value", rb"[^\t\n]+", RejectionCode.MALFORMED_ROW, "JSON"),
            ),
            ((0, 1), (1, 2), (2, 3)),
        ),
        Form(
            Kind.DATASETS,
            (
                _id("job_id"),
                _id("dataset_id"),
                _text("extension", 100, shortest=0),
                Column("file_size", rb"[0-9]{1,18}|-1|None", RejectionCode.BAD_NUMBER, "a size in bytes, -1 or None"),
                _text("param_name", 400, shortest=0),
                Column("type", rb"input|output", RejectionCode.MALFORMED_ROW, "input or output"),
            ),
            ((0, 1), (1, 2), (2, 3), (3, 4), (4, 6)),
        ),
    )
}
