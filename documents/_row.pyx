# cython: language_level=3
"""Documents as the database sent them."""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_AsUTF8AndSize
from libc.stdint cimport uint8_t

from documents._bson cimport STRING, Elements, begin, is_named, step, string_at

from bson import _raw_to_dict
from bson.codec_options import _RAW_BSON_DOCUMENT_MARKER, CodecOptions


@cython.final
@cython.freelist(1000)
@cython.no_gc
cdef class Row:
    """A document as the database sent it. Reads like a dictionary; the driver makes it where it is asked to."""

    _type_marker = _RAW_BSON_DOCUMENT_MARKER

    def __cinit__(self, bson, options=None):
        self.raw = bson if type(bson) is bytes else bytes(bson)

    def __getitem__(self, str key):
        cdef Elements elements
        cdef Py_ssize_t size
        cdef const char* name
        if self._decoded is None:
            # Most of what is looked up are ids, and little of a row.
            begin(&elements, <const uint8_t*>PyBytes_AS_STRING(self.raw), PyBytes_GET_SIZE(self.raw))
            name = PyUnicode_AsUTF8AndSize(key, &size)
            while step(&elements):
                if elements.type == STRING and is_named(&elements, name, size):
                    return string_at(elements.value, elements.size)
        return self._whole()[key]

    def get(self, str key, default=None):
        try:
            return self[key]
        except KeyError:
            return default

    def __contains__(self, key):
        return key in self._whole()

    def __iter__(self):
        return iter(self._whole())

    def __len__(self):
        return len(self._whole())

    def keys(self):
        return self._whole().keys()

    cdef dict _whole(self):
        if self._decoded is None:
            self._decoded = _raw_to_dict(self.raw, 4, len(self.raw) - 1, AS_SENT, {}, raw_array=False)
        return self._decoded


AS_SENT = CodecOptions(document_class=Row)
