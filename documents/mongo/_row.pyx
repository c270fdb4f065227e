# cython: language_level=3, nonecheck=True
"""Documents as the raw BSON that the database sent."""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING
from cpython.unicode cimport PyUnicode_AsUTF8AndSize
from libc.stdint cimport uint8_t
from libc.string cimport memcmp

from documents.mongo._bson cimport (
    ARRAY,
    BOOLEAN,
    DOCUMENT,
    DOUBLE,
    INT64,
    STRING,
    Elements,
    begin,
    double_at,
    int64_at,
    is_named,
    step,
    string_at,
)

from bson import Int64, _raw_to_dict
from bson.codec_options import _RAW_BSON_DOCUMENT_MARKER, CodecOptions


@cython.final
@cython.freelist(1000)
@cython.no_gc
cdef class Row:
    """A document as raw BSON, which reads like a dictionary. The driver makes it as its `document_class`."""

    _type_marker = _RAW_BSON_DOCUMENT_MARKER

    def __init__(self, bson, options=None):
        self._held = bson if type(bson) is bytes else bytes(bson)
        self.size = len(self._held)

    @property
    def raw(self):
        """The document's BSON, which the driver sends when the row is written."""
        return self._held[self._start : self._start + self.size]

    def __getitem__(self, str key):
        cdef Elements found
        if self._decoded is None:
            # Most lookups are of an id or of a reply's documents, and few values of a row are looked up at all.
            if not self._holds(key, &found):
                raise KeyError(key)
            if found.type == STRING:
                return string_at(found.value, found.size)
            if found.type == DOUBLE:
                return double_at(found.value)
            if found.type == INT64:
                return Int64(int64_at(found.value))
            if found.type == BOOLEAN:
                return found.value[0] != 0
            if found.type == DOCUMENT:
                return part_of(self, &found)
            if found.type == ARRAY:
                documents = documents_of(self, &found)
                if documents is not None:
                    return documents
        return self._whole()[key]

    def get(self, str key, default=None):
        try:
            return self[key]
        except KeyError:
            return default

    def __contains__(self, str key):
        cdef Elements found
        return self._holds(key, &found)

    def __iter__(self):
        return iter(self._whole())

    def __len__(self):
        return len(self._whole())

    def keys(self):
        return self._whole().keys()

    def __hash__(self):
        raise TypeError("unhashable type: 'Row'")

    cdef bint _holds(self, str key, Elements* elements) except -1:
        """Whether there is an element with this key, at which `elements` is then positioned."""
        cdef Py_ssize_t size
        cdef const char* name = PyUnicode_AsUTF8AndSize(key, &size)
        begin(elements, self.begins(), self.size)
        while step(elements):
            if is_named(elements, name, size):
                return True
        return False

    cdef const uint8_t* begins(self) except NULL:
        if self._held is None:
            raise ValueError("a row of nothing")
        return <const uint8_t*>PyBytes_AS_STRING(self._held) + self._start

    cdef dict _whole(self):
        if self._decoded is None:
            self._decoded = _raw_to_dict(self.raw, 4, self.size - 1, AS_SENT, {}, raw_array=False)
        return self._decoded


AS_SENT = CodecOptions(document_class=Row)


cdef Row part_of(Row whole, Elements* element):
    """The document that an element holds, without copying it."""
    cdef Row part = Row.__new__(Row)
    part._held = whole._held
    part._start = element.value - <const uint8_t*>PyBytes_AS_STRING(whole._held)
    part.size = element.size
    return part


cdef list documents_of(Row whole, Elements* array):
    """The documents in an array, None when it holds other values as well."""
    cdef Elements items
    cdef list found = []
    begin(&items, array.value, array.size)
    while step(&items):
        if items.type != DOCUMENT:
            return None
        found.append(part_of(whole, &items))
    return found


def group_consecutive(list rows, str key):
    """Groups of consecutive rows with the same text at `key`, as `(text, rows)`."""
    cdef list groups = [], group = None
    cdef Elements named
    cdef Row row
    cdef Py_ssize_t length = 0
    cdef const uint8_t* text = NULL
    for row in rows:
        if not row._holds(key, &named) or named.type != STRING:
            raise ValueError(f"no text at {key}")
        if group is None or named.size != length or memcmp(named.value, text, length):
            group = []
            groups.append((string_at(named.value, named.size), group))
            # These point into a row that the group keeps alive.
            text, length = named.value, named.size
        group.append(row)
    return groups


def member_texts(list rows, str name, str member, str flag=None, dict known=None):
    """For each row the texts at `member` of the documents in its array `name`; of those alone whose `flag` is true, if
    one is given. With `known`, its values for those texts that it has, instead of the texts."""
    cdef list found = []
    cdef Row row
    for row in rows:
        found.append(texts_of(row, name, member, flag, known))
    return found


cdef list texts_of(Row row, str name, str member, str flag, dict known):
    cdef Elements array, items, element
    cdef Py_ssize_t size, flag_size = 0
    cdef const char* text = PyUnicode_AsUTF8AndSize(member, &size)
    cdef const char* flag_text = NULL if flag is None else PyUnicode_AsUTF8AndSize(flag, &flag_size)
    cdef list texts = []
    cdef object found
    cdef bint flagged
    if not row._holds(name, &array) or array.type != ARRAY:
        return texts
    begin(&items, array.value, array.size)
    while step(&items):
        if items.type != DOCUMENT:
            raise ValueError(f"no documents at {name}")
        found, flagged = None, flag_text == NULL
        begin(&element, items.value, items.size)
        while step(&element):
            if element.type == STRING and is_named(&element, text, size):
                found = string_at(element.value, element.size)
            elif flag_text != NULL and element.type == BOOLEAN and is_named(&element, flag_text, flag_size):
                flagged = element.value[0] != 0
        if found is None:
            raise ValueError(f"no text at {name}.{member}")
        if known is not None:
            found = known.get(found)
        if flagged and found is not None:
            texts.append(found)
    return texts
