/* Memory that grows while records are decoded into it, and is then handed to Python without a copy. */
#include "columns.h"

#include <stdlib.h>

/* A few large blocks of columns that are gone are kept for those that come: fresh memory costs more than what is
 * written to it, since the kernel clears it and is called for each page. Under the GIL. */
enum { KEPT = 16, LEAST_KEPT = 1 << 16, MOST_KEPT = 1 << 25 };
static struct { void *memory; size_t capacity; } kept[KEPT];
static size_t all_kept;

static void keep_or_free(void *memory, size_t capacity) {
    if (memory && capacity >= LEAST_KEPT && all_kept + capacity <= MOST_KEPT)
        for (int i = 0; i < KEPT; i++)
            if (!kept[i].memory) {
                kept[i].memory = memory;
                kept[i].capacity = capacity;
                all_kept += capacity;
                return;
            }
    free(memory);
}

/* Sizes that come again and again although what comes differs a little: four of them for each power of two. */
static size_t rounded(size_t size) {
    size_t step = (size_t)1 << (61 - __builtin_clzll(size));
    return (size + step - 1) & ~(step - 1);
}

bool reserve(Growing *growing, size_t size) {
    if (size >= LEAST_KEPT && size <= MOST_KEPT) size = rounded(size);
    for (int i = 0; i < KEPT && size >= LEAST_KEPT && !growing->memory; i++)
        if (kept[i].memory && kept[i].capacity >= size && kept[i].capacity / 2 <= size) {
            growing->memory = kept[i].memory;
            growing->capacity = kept[i].capacity;
            all_kept -= kept[i].capacity;
            kept[i].memory = NULL;
            return true;
        }
    return grow(growing, size);
}

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
    keep_or_free(growing->memory, growing->capacity);
    growing->memory = NULL;
    growing->capacity = 0;
}

typedef struct {
    PyObject_HEAD
    void *memory;
    size_t capacity;
    Py_ssize_t count, itemsize;
    char format[2];
    bool is_writable;
} Buffer;

PyObject *take(State *state, Growing *growing, size_t count, char format) {
    Buffer *buffer = PyObject_New(Buffer, state->buffer_type);
    if (!buffer) return NULL;
    buffer->itemsize = format == 'q' ? 8 : format == 'i' ? 4 : 1;
    buffer->count = (Py_ssize_t)count;
    buffer->format[0] = format;
    buffer->format[1] = 0;
    buffer->is_writable = false;
    size_t size = count * (size_t)buffer->itemsize;
    buffer->memory = growing->memory;
    buffer->capacity = growing->capacity;
    if (size < growing->capacity / 2) { /* up to a half may lie idle */
        void *shrunk = realloc(growing->memory, size ? size : 1);
        if (shrunk) {
            buffer->memory = shrunk;
            buffer->capacity = size;
        }
    }
    growing->memory = NULL;
    growing->capacity = 0;
    PyObject *view = PyMemoryView_FromObject((PyObject *)buffer);
    Py_DECREF(buffer);
    return view;
}

/* allocate(size): what is in it is anything. */
PyObject *py_allocate(PyObject *module, PyObject *args) {
    Py_ssize_t size;
    Growing growing = {0};
    if (!PyArg_ParseTuple(args, "n:allocate", &size)) return NULL;
    if (size < 0) {
        PyErr_Format(PyExc_ValueError, "%zd bytes", size);
        return NULL;
    }
    if (!reserve(&growing, (size_t)size + 1)) return PyErr_NoMemory();
    Buffer *buffer = PyObject_New(Buffer, state_of(module)->buffer_type);
    if (!buffer) {
        drop(&growing);
        return NULL;
    }
    *buffer = (Buffer){buffer->ob_base, growing.memory, growing.capacity, size, 1, "B", true};
    PyObject *view = PyMemoryView_FromObject((PyObject *)buffer);
    Py_DECREF(buffer);
    return view;
}

static void buffer_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    keep_or_free(((Buffer *)self)->memory, ((Buffer *)self)->capacity);
    PyObject_Free(self);
    Py_DECREF(type);
}

static int buffer_get(PyObject *self, Py_buffer *view, int flags) {
    Buffer *buffer = (Buffer *)self;
    if (flags & PyBUF_WRITABLE && !buffer->is_writable) {
        view->obj = NULL;
        PyErr_SetString(PyExc_BufferError, "columns are read-only");
        return -1;
    }
    view->buf = buffer->memory;
    view->obj = Py_NewRef(self);
    view->len = buffer->count * buffer->itemsize;
    view->itemsize = buffer->itemsize;
    view->readonly = !buffer->is_writable;
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
