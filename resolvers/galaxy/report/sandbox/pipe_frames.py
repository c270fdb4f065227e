"""Frames that carry batches through a pipe: a letter, a length, and BSON documents or JSON.

No pickle: output of the process that reads hostile bytes is treated as data and never run.
"""

from dataclasses import asdict
from struct import Struct
from typing import Any

import orjson

from resolvers.galaxy.report.read_report import Batch, Summary
from resolvers.galaxy.report.rejection import Rejection, RejectionCode
from resolvers.galaxy.report.usage import cells
from resolvers.galaxy.report.usage.cells import Cell

HEAD = Struct("<cI")
MAX_FRAME_BYTES = 64 * 1024 * 1024
ROWS, REJECTIONS, CELLS, SUMMARY, FAILURE = b"R", b"J", b"C", b"S", b"F"
LENGTH = Struct("<i")
MIN_ROW_BYTES = 5
ID = b"\x02_id\0"
ID_AT = 4 + len(ID) + 4
"""Where the text of a row's id begins, when the id comes first."""


class BadFrame(Exception):
    """The other end sent a frame that no parser sends."""


def frames(batch: Batch) -> list[bytes]:
    """A batch as the frames that carry it."""
    parts = []
    if batch.rows:
        parts += _frame(ROWS, batch.rows)
    if batch.rejections:
        parts += _frame(REJECTIONS, [orjson.dumps([asdict(rejection) for rejection in batch.rejections])])
    if batch.cells:
        parts += _frame(CELLS, [cells.encode_cells(batch.cells)])
    if batch.summary is not None:
        parts += _frame(SUMMARY, [orjson.dumps(asdict(batch.summary))])
    return parts


def failure(text: str) -> bytes:
    """The frame for an error in the parser itself."""
    return b"".join(_frame(FAILURE, [text[-4000:].encode("utf-8", "backslashreplace")]))


def _frame(kind: bytes, parts: list[bytes]) -> list[bytes]:
    return [HEAD.pack(kind, sum(map(len, parts))), *parts]


def parse_rows(payload: bytes, id_prefix: bytes) -> list[bytes]:
    """The documents of a frame. Raises BadFrame when one is incomplete, or its id does not begin as agreed."""
    rows = []
    at, end = 0, len(payload)
    while at < end:
        size = LENGTH.unpack_from(payload, at)[0] if end - at >= MIN_ROW_BYTES else 0
        row = payload[at : at + size]
        if size < MIN_ROW_BYTES or len(row) < size or row[4:9] != ID or not row.startswith(id_prefix, ID_AT):
            raise BadFrame("A row is not one of this report.")
        rows.append(row)
        at += size
    return rows


def parse_rejections(payload: bytes) -> list[Rejection]:
    """The rejections of a frame. Raises BadFrame when it is malformed."""
    try:
        values: list[dict[str, Any]] = orjson.loads(payload)
        return [Rejection(**value | {"code": RejectionCode(value["code"])}) for value in values]
    except (ValueError, TypeError, KeyError) as error:
        raise BadFrame("The rejections of a report could not be understood.") from error


def parse_cells(payload: bytes) -> list[Cell]:
    """The cells of a frame. Raises BadFrame when it is malformed."""
    try:
        return cells.decode_cells(payload)
    except ValueError as error:
        raise BadFrame("The usage of a report could not be understood.") from error


def parse_summary(payload: bytes) -> Summary:
    """The summary of a frame. Raises BadFrame when it is malformed."""
    try:
        return Summary(**orjson.loads(payload))
    except (ValueError, TypeError) as error:
        raise BadFrame("The summary of a report could not be understood.") from error
