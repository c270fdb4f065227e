# cython: language_level=3, cdivision=True
"""Writes raw documents as JSON, without making dictionaries of them: the bytes are those that orjson would write."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_Realloc
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.math cimport isfinite
from libc.stdint cimport INT32_MAX, INT32_MIN, int64_t, uint8_t, uint64_t
from libc.string cimport memcpy

from documents.mongo._bson cimport (
    ARRAY,
    BOOLEAN,
    DATE,
    DOUBLE,
    INT32,
    INT64,
    NOTHING,
    STRING,
    Elements,
    begin,
    double_at,
    int32_at,
    int64_at,
    is_named,
    step,
    string_at,
)
from documents.mongo._row cimport Row

import orjson

cdef enum:
    DAY = 86_400_000  # milliseconds

cdef extern from *:
    """
    #define EACH 0x0101010101010101ULL
    """
    const uint64_t EACH

cdef enum:
    # The ways in which values are shown.
    CONSTANT
    COLUMN
    TEXT
    TRUTH
    INTEGER
    NUMBER
    DIGITS
    TIME
    NAME
    JSON

SHOWN = {
    "constant": CONSTANT, "column": COLUMN, "text": TEXT, "boolean": TRUTH, "int": INTEGER, "float": NUMBER,
    "digits": DIGITS, "time": TIME, "name": NAME, "json": JSON,
}


cdef class Member:
    """A value of the answer, with the constant text before it."""

    cdef bytes before
    cdef int shown
    cdef int place
    cdef bytes missing
    cdef bint listed
    cdef bytes missing_item
    cdef dict names

    def __init__(
        self, bytes before not None, str shown, int place=0, *, bytes missing=None, bint listed=False, bytes missing_item=None,
        dict names=None,
    ):
        self.before, self.shown, self.place, self.missing = before, SHOWN[shown], place, missing
        self.listed, self.missing_item, self.names = listed, missing_item, names


cdef struct Found:
    uint8_t type
    const uint8_t* value
    Py_ssize_t size


cdef class Text:
    """A growing buffer of bytes."""

    cdef char* bytes
    cdef Py_ssize_t size
    cdef Py_ssize_t room

    def __cinit__(self):
        self.room = 4096
        self.bytes = <char*>PyMem_Malloc(self.room)
        if self.bytes == NULL:
            raise MemoryError

    def __dealloc__(self):
        PyMem_Free(self.bytes)

    cdef int make_room(self, Py_ssize_t more) except -1:
        cdef Py_ssize_t room = max(2 * self.room, self.size + more)
        cdef char* bytes = <char*>PyMem_Realloc(self.bytes, room)
        if bytes == NULL:
            raise MemoryError
        self.bytes, self.room = bytes, room
        return 0

    cdef inline int put(self, const char* text, Py_ssize_t size) except -1:
        if self.size + size > self.room:
            self.make_room(size)
        memcpy(self.bytes + self.size, text, size)
        self.size += size
        return 0

    cdef inline int add(self, bytes text) except -1:
        return self.put(PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text))


cdef struct Field:
    const char* name
    Py_ssize_t size


cdef class Writer:
    """Writes raw rows: `write(rows, columns)` returns the JSON that each row becomes in the answer."""

    cdef list members
    cdef list names
    cdef Field* fields
    cdef Py_ssize_t count
    cdef object dumps

    def __cinit__(self, list members, list fields, dumps):
        """`fields` are the names to which the members' places refer; `dumps` writes values of columns as JSON."""
        self.members, self.names, self.dumps = members, [field.encode() for field in fields], dumps
        self.count = len(fields)
        self.fields = <Field*>PyMem_Malloc(max(1, self.count) * sizeof(Field))
        if self.fields == NULL:
            raise MemoryError
        for place, name in enumerate(self.names):
            self.fields[place] = Field(PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name))

    def __dealloc__(self):
        PyMem_Free(self.fields)

    def write(self, list rows not None, list columns not None, list times, int64_t room):
        """The JSON of each row, its total size in bytes, and the part of the size that does not come from columns.

        The bytes of a row count as often as it occurs, by `times`. Stops after the row with which that part exceeds
        `room`. Raises ValueError where a required value is missing, or a value has another type.
        """
        cdef list shown = []
        cdef Text text = Text.__new__(Text)
        cdef Py_ssize_t number, own
        cdef int64_t size = 0, owned = 0, each = 1
        cdef Found* found
        cdef Row row
        for column in columns:
            if len(<list?>column) != len(rows):
                raise IndexError(f"{len(rows)} rows with a column of {len(column)}")
        if times is not None and len(times) != len(rows):
            raise IndexError(f"{len(rows)} rows that occur {len(times)} times")
        found = <Found*>PyMem_Malloc(max(1, self.count) * sizeof(Found))
        if found == NULL:
            raise MemoryError
        try:
            for number in range(len(rows)):
                row = rows[number]
                if row is None:
                    raise TypeError("a row is None")
                text.size = 0
                self._find(row, found)
                own = self._write(text, found, number, columns)
                shown.append(PyBytes_FromStringAndSize(text.bytes, text.size))
                if times is not None:
                    each = times[number]
                size += each * text.size
                owned += each * own
                if owned > room:
                    break
        finally:
            PyMem_Free(found)
        return shown, size, owned

    cdef int _find(self, Row row, Found* found) except -1:
        """Find the value of each field. The row must outlive `found`, which points into it."""
        cdef Py_ssize_t place, likely = 0
        cdef Elements elements
        for place in range(self.count):
            found[place].type = NOTHING
        begin(&elements, row.begins(), row.size)
        while step(&elements):
            place = likely
            for _ in range(self.count):
                if is_named(&elements, self.fields[place].name, self.fields[place].size):
                    found[place] = Found(elements.type, elements.value, elements.size)
                    # Rows of a collection have their fields in nearly the same order.
                    likely = place + 1 if place + 1 < self.count else 0
                    break
                place = place + 1 if place + 1 < self.count else 0
        return 0

    cdef Py_ssize_t _write(self, Text text, Found* found, Py_ssize_t number, list columns) except -1:
        """Write one row; returns how many of its bytes do not come from columns."""
        cdef Member member
        cdef Py_ssize_t brought = 0
        for member in self.members:
            text.add(member.before)
            if member.shown == CONSTANT:
                continue
            if member.shown == COLUMN:
                value = (<list>columns[member.place])[number]
                if type(value) is bytes:
                    brought += PyBytes_GET_SIZE(<bytes>value)
                    text.add(<bytes>value)
                else:
                    text.add(<bytes?>self.dumps(value))
            elif member.listed:
                write_list(text, member, found[member.place])
            else:
                write_value(text, member, found[member.place], member.missing)
        return text.size - brought


cdef int write_list(Text text, Member member, Found found) except -1:
    cdef Elements items
    cdef bint first = True
    if found.type == NOTHING:
        return write_missing(text, member.missing)
    if found.type != ARRAY:
        raise ValueError("what is no list")
    begin(&items, found.value, found.size)
    text.put(b"[", 1)
    while step(&items):
        if not first:
            text.put(b",", 1)
        first = False
        write_value(text, member, Found(items.type, items.value, items.size), member.missing_item)
    return text.put(b"]", 1)


cdef int write_value(Text text, Member member, Found found, bytes missing) except -1:
    if found.type == NOTHING:
        return write_missing(text, missing)
    if found.type == STRING:
        if member.shown == TEXT:
            return write_string(text, found.value + 4, found.size - 5)
        if member.shown == NAME:
            return text.add(name_of(member, found))
        if member.shown == JSON:
            return text.add(string_at(found.value, found.size).encode())
    elif found.type == DATE and member.shown == TIME:
        return write_time(text, int64_at(found.value))
    elif found.type == INT32 or found.type == INT64:
        return write_integer(text, member, int32_at(found.value) if found.type == INT32 else int64_at(found.value))
    elif found.type == BOOLEAN and member.shown == TRUTH:
        return text.put(b"true", 4) if found.value[0] else text.put(b"false", 5)
    elif found.type == DOUBLE and member.shown == NUMBER:
        return write_number(text, double_at(found.value))
    raise ValueError(f"a value of type {found.type}")


cdef int write_missing(Text text, bytes missing) except -1:
    if missing is None:
        raise ValueError("a value is missing")
    return text.add(missing)


cdef bytes name_of(Member member, Found found):
    name = member.names.get(string_at(found.value, found.size))
    if name is None:
        raise ValueError("a value that has no name")
    return name


cdef int write_integer(Text text, Member member, int64_t number) except -1:
    if member.shown == DIGITS:
        text.put(b'"', 1)
        put_number(text, number)
        return text.put(b'"', 1)
    if member.shown == INTEGER and INT32_MIN <= number <= INT32_MAX:
        return put_number(text, number)
    raise ValueError("a number that is too large, or is none here")


cdef int write_number(Text text, double number) except -1:
    if not isfinite(number):
        raise ValueError("a number that JSON does not have")
    return text.add(orjson.dumps(number))


cdef int write_string(Text text, const uint8_t* at, Py_ssize_t size) except -1:
    if not is_plain(at, size):
        # The text may need escapes, or may not be UTF-8.
        return text.add(orjson.dumps(PyUnicode_DecodeUTF8(<const char*>at, size, NULL)))
    text.put(b'"', 1)
    text.put(<const char*>at, size)
    return text.put(b'"', 1)


cdef bint is_plain(const uint8_t* at, Py_ssize_t size) noexcept:
    """Whether text is ASCII that needs no escape, by https://graphics.stanford.edu/~seander/bithacks.html#ZeroInWord."""
    cdef uint64_t eight, odd = 0
    while size > 0:
        eight = EACH * 0x61
        memcpy(&eight, at, 8 if size >= 8 else size)
        odd |= eight | zero_in(eight & EACH * 0xE0) | zero_in(eight ^ EACH * 0x22) | zero_in(eight ^ EACH * 0x5C)
        at += 8
        size -= 8
    return odd & EACH * 0x80 == 0


cdef inline uint64_t zero_in(uint64_t eight) noexcept:
    """A word in which the highest bit of some byte is set when one of the eight bytes is zero."""
    return (eight - EACH) & ~eight


cdef int write_time(Text text, int64_t milliseconds) except -1:
    """Write `"2021-07-05T16:30:05.000Z"`, by http://howardhinnant.github.io/date_algorithms.html#civil_from_days."""
    cdef char shown[26]
    cdef int64_t days = milliseconds / DAY, left = milliseconds % DAY
    cdef int64_t era, of_era, year_of_era, of_year, month, year
    if left < 0:
        days, left = days - 1, left + DAY
    days += 719_468  # from the first of March of the year 0
    era = (days if days >= 0 else days - 146_096) / 146_097
    of_era = days - era * 146_097
    year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365
    of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100)
    month = (5 * of_year + 2) / 153
    year = year_of_era + era * 400 + (month >= 10)
    if not 1 <= year <= 9999:
        raise ValueError("a time that Python does not have")
    memcpy(shown, b'"0000-00-00T00:00:00.000Z"', 26)
    put_digits(shown + 1, 4, year)
    put_digits(shown + 6, 2, month + 3 if month < 10 else month - 9)
    put_digits(shown + 9, 2, of_year - (153 * month + 2) / 5 + 1)
    put_digits(shown + 12, 2, left / 3_600_000)
    put_digits(shown + 15, 2, left / 60_000 % 60)
    put_digits(shown + 18, 2, left / 1_000 % 60)
    put_digits(shown + 21, 3, left % 1_000)
    return text.put(shown, 26)


cdef int put_number(Text text, int64_t number) except -1:
    cdef char shown[20]
    cdef int first = 20
    cdef uint64_t left = <uint64_t>number if number >= 0 else -<uint64_t>number
    if number < 0:
        text.put(b"-", 1)
    while True:
        first -= 1
        shown[first] = <char>(48 + left % 10)
        left = left / 10
        if left == 0:
            return text.put(shown + first, 20 - first)


cdef inline void put_digits(char* at, int count, int64_t number) noexcept:
    cdef int place
    for place in range(count - 1, -1, -1):
        at[place] = <char>(48 + number % 10)
        number = number / 10
