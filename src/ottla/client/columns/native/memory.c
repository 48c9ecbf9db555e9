/* Memory that grows while records are decoded into it, and is then handed to Python without a copy. */
#include "columns.h"

#include <stdlib.h>

bool grow(Growing *growing, size_t size) {
    if (LIKELY(size <= growing->capacity)) return true;
    size_t capacity = growing->capacity * 2;
    if (capacity < size) capacity = size;
    uint8_t *memory = realloc(growing->memory, capacity);
    if (!memory) return false;
    growing->memory = memory;
    growing->capacity = capacity;
    return true;
}

void drop(Growing *growing) {
    free(growing->memory);
    growing->memory = NULL;
    growing->capacity = 0;
}

typedef struct {
    PyObject_HEAD
    void *memory;
    Py_ssize_t count, itemsize;
    char format[2];
} Buffer;

PyObject *take(State *state, Growing *growing, size_t count, char format) {
    Buffer *buffer = PyObject_New(Buffer, state->buffer_type);
    if (!buffer) return NULL;
    buffer->itemsize = format == 'q' ? 8 : format == 'i' ? 4 : 1;
    buffer->count = (Py_ssize_t)count;
    buffer->format[0] = format;
    buffer->format[1] = 0;
    size_t size = count * (size_t)buffer->itemsize;
    void *shrunk = size < growing->capacity ? realloc(growing->memory, size ? size : 1) : NULL;
    buffer->memory = shrunk ? shrunk : growing->memory;
    growing->memory = NULL;
    growing->capacity = 0;
    PyObject *view = PyMemoryView_FromObject((PyObject *)buffer);
    Py_DECREF(buffer);
    return view;
}

static void buffer_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    free(((Buffer *)self)->memory);
    PyObject_Free(self);
    Py_DECREF(type);
}

static int buffer_get(PyObject *self, Py_buffer *view, int flags) {
    Buffer *buffer = (Buffer *)self;
    if (flags & PyBUF_WRITABLE) {
        view->obj = NULL;
        PyErr_SetString(PyExc_BufferError, "columns are read-only");
        return -1;
    }
    view->buf = buffer->memory;
    view->obj = Py_NewRef(self);
    view->len = buffer->count * buffer->itemsize;
    view->itemsize = buffer->itemsize;
    view->readonly = 1;
    view->ndim = 1;
    view->format = flags & PyBUF_FORMAT ? buffer->format : NULL;
    view->shape = flags & PyBUF_ND ? &buffer->count : NULL;
    view->strides = flags & PyBUF_STRIDES ? &buffer->itemsize : NULL;
    view->suboffsets = NULL;
    view->internal = NULL;
    return 0;
}

static PyType_Slot buffer_slots[] = {
    {Py_tp_dealloc, buffer_dealloc},
    {Py_bf_getbuffer, buffer_get},
    {Py_tp_doc, "Memory of a column."},
    {0, NULL},
};

PyType_Spec buffer_spec = {
    .name = "ottla.client.columns._columns.Buffer",
    .basicsize = sizeof(Buffer),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = buffer_slots,
};
