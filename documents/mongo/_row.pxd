cimport cython
from libc.stdint cimport uint8_t

from documents.mongo._bson cimport Elements


@cython.final
cdef class Row:
    cdef bytes _held
    cdef Py_ssize_t _start
    cdef Py_ssize_t size
    cdef dict _decoded

    cdef bint _holds(self, str key, Elements* elements) except -1
    cdef const uint8_t* begins(self) except NULL
    cdef dict _whole(self)
