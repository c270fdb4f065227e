"""Iterating over the elements of a BSON document, as https://bsonspec.org/spec.html defines them."""

from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport int32_t, int64_t, uint8_t
from libc.string cimport memchr, memcmp, memcpy

cdef enum:
    # Types of BSON.
    DOUBLE = 0x01
    STRING = 0x02
    DOCUMENT = 0x03
    ARRAY = 0x04
    BINARY = 0x05
    UNDEFINED = 0x06
    OBJECT_ID = 0x07
    BOOLEAN = 0x08
    DATE = 0x09
    NOTHING = 0x0A
    CODE = 0x0D
    SYMBOL = 0x0E
    SCOPED_CODE = 0x0F
    INT32 = 0x10
    TIMESTAMP = 0x11
    INT64 = 0x12
    DECIMAL = 0x13
    MAX_KEY = 0x7F
    MIN_KEY = 0xFF

    SHORTEST = 5  # bytes of an empty document


cdef inline int32_t int32_at(const uint8_t* at) noexcept:
    cdef int32_t value
    memcpy(&value, at, 4)
    return value


cdef inline int64_t int64_at(const uint8_t* at) noexcept:
    cdef int64_t value
    memcpy(&value, at, 8)
    return value


cdef inline double double_at(const uint8_t* at) noexcept:
    cdef double value
    memcpy(&value, at, 8)
    return value


cdef inline Py_ssize_t size_of(uint8_t type_, const uint8_t* at, const uint8_t* end) except -1:
    """The size of the value that begins at `at`. Raises ValueError unless it ends before `end`."""
    cdef Py_ssize_t size = -1
    if type_ == STRING or type_ == CODE or type_ == SYMBOL:
        if end - at >= 5 and int32_at(at) >= 1:
            size = 4 + <Py_ssize_t>int32_at(at)
    elif type_ == DATE or type_ == DOUBLE or type_ == INT64 or type_ == TIMESTAMP:
        size = 8
    elif type_ == INT32:
        size = 4
    elif type_ == BOOLEAN:
        size = 1
    elif type_ == NOTHING or type_ == UNDEFINED or type_ == MAX_KEY or type_ == MIN_KEY:
        size = 0
    elif type_ == DOCUMENT or type_ == ARRAY or type_ == SCOPED_CODE:
        if end - at >= SHORTEST and int32_at(at) >= SHORTEST:
            size = int32_at(at)
    elif type_ == BINARY:
        if end - at >= 5 and int32_at(at) >= 0:
            size = 5 + <Py_ssize_t>int32_at(at)
    elif type_ == OBJECT_ID:
        size = 12
    elif type_ == DECIMAL:
        size = 16
    if size < 0 or size > end - at:
        raise ValueError(f"BSON with a value of type {type_} that is not whole")
    return size


cdef struct Elements:
    # The position in a document or an array: the current element, and where the next one begins.
    const uint8_t* next
    const uint8_t* end
    uint8_t type
    const uint8_t* name
    Py_ssize_t name_size
    const uint8_t* value
    Py_ssize_t size


cdef inline int begin(Elements* elements, const uint8_t* document, Py_ssize_t size) except -1:
    elements.next = document + 4
    elements.end = document + size - 1
    if size < SHORTEST or int32_at(document) != size:
        raise ValueError("BSON that is not whole")
    return 0


cdef inline bint step(Elements* elements) except -1:
    """Move to the next element; returns False when there is none."""
    cdef const uint8_t* after
    if elements.next >= elements.end:
        return False
    elements.type = elements.next[0]
    elements.name = elements.next + 1
    after = <const uint8_t*>memchr(elements.name, 0, elements.end - elements.name)
    if after == NULL:
        raise ValueError("BSON with a name that does not end")
    elements.name_size = after - elements.name
    elements.value = after + 1
    elements.size = size_of(elements.type, elements.value, elements.end)
    elements.next = elements.value + elements.size
    return True


cdef inline bint is_named(Elements* elements, const char* name, Py_ssize_t size) noexcept:
    return elements.name_size == size and memcmp(elements.name, name, size) == 0


cdef inline str string_at(const uint8_t* at, Py_ssize_t size):
    return PyUnicode_DecodeUTF8(<const char*>at + 4, size - 5, NULL)
