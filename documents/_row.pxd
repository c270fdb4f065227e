cimport cython


@cython.final
cdef class Row:
    cdef readonly bytes raw
    cdef dict _decoded

    cdef dict _whole(self)
