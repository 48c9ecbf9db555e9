/* Columns that grow row by row, laid out as Arrow's, and are then handed to Python without a copy. */
#include "programs.h"

#include <stdlib.h>

bool make_room(Columns *columns, Growing *growing, size_t size) {
    size_t capacity = growing->capacity * 2;
    if (capacity < size) capacity = size;
    if (capacity < 64) capacity = 64;
    if (capacity - growing->capacity > columns->memory_left) {
        capacity = size;
        if (size - growing->capacity > columns->memory_left) {
            columns->failure = TOO_LARGE;
            return false;
        }
    }
    uint8_t *memory = realloc(growing->memory, capacity);
    if (!memory) {
        columns->failure = NO_MEMORY;
        return false;
    }
    columns->memory_left -= capacity - growing->capacity;
    growing->memory = memory;
    growing->capacity = capacity;
    return true;
}

static bool check_layout(const int32_t *words, int32_t at, int32_t end, int depth) {
    if (depth > MAX_DEPTH) return false;
    while (at < end) {
        int32_t kind = words[at * 3], width = words[at * 3 + 1], last = words[at * 3 + 2];
        if (kind < 0 || kind >= COLUMN_KINDS || width < 0 || width > 1 << 20 || last <= at || last > end) return false;
        if (kind == COLUMN_LIST && (last == at + 1 || words[at * 3 + 5] != last)) return false;
        if (kind < COLUMN_LIST && (last != at + 1 || (kind == COLUMN_FIXED && !width))) return false;
        if (!check_layout(words, at + 1, last, depth + 1)) return false;
        at = last;
    }
    return true;
}

bool open_columns(PyObject *layout, size_t max_bytes, Columns *columns) {
    Py_buffer view;
    memset(columns, 0, sizeof *columns);
    columns->memory_left = max_bytes;
    if (PyObject_GetBuffer(layout, &view, PyBUF_SIMPLE)) return false;
    Py_ssize_t count = view.len / 12;
    int32_t *words = malloc((size_t)view.len + 1);
    if (words) memcpy(words, view.buf, (size_t)view.len);
    bool is_sound = words && view.len == count * 12 && count && count < 1 << 24 && words[2] == count &&
                    check_layout(words, 0, (int32_t)count, 0);
    if (is_sound) columns->all = calloc((size_t)count, sizeof(Column));
    if (columns->all) {
        columns->count = (int32_t)count;
        for (Py_ssize_t i = 0; i < count; i++) {
            columns->all[i].kind = words[i * 3];
            columns->all[i].width = words[i * 3 + 1];
            columns->all[i].end = words[i * 3 + 2];
        }
    } else if (words && !is_sound) {
        PyErr_SetString(PyExc_ValueError, "this is no layout of columns");
    } else {
        PyErr_NoMemory();
    }
    free(words);
    PyBuffer_Release(&view);
    return columns->all;
}

/* Columns that are in no list have as many rows as there are values. */
void reserve_columns(Columns *columns, Py_ssize_t rows) {
    for (int32_t i = 0; i < columns->count;) {
        Column *column = &columns->all[i];
        size_t size = column->kind == COLUMN_FIXED ? (size_t)rows * (size_t)column->width : 0;
        if (size && size < columns->memory_left / 2) make_room(columns, &column->data, size);
        if ((column->kind == COLUMN_BINARY || column->kind == COLUMN_LIST) &&
            ((size_t)rows + 1) * 4 < columns->memory_left / 2)
            make_room(columns, &column->offsets, ((size_t)rows + 1) * 4);
        columns->failure = SOUND; /* it is tried again with what there really is */
        i = column->kind == COLUMN_LIST ? column->end : i + 1;
    }
}

void drop_columns(Columns *columns) {
    for (int32_t i = 0; i < columns->count; i++) {
        free(columns->all[i].validity.memory);
        free(columns->all[i].offsets.memory);
        free(columns->all[i].data.memory);
    }
    free(columns->all);
    columns->all = NULL;
    columns->count = 0;
}

/* -- Appending */

/* A bit for the row that comes next. The first null gives bits to all rows before it. */
bool append_validity(Columns *columns, Column *column, bool is_valid) {
    size_t at = (size_t)column->length;
    if (!room(columns, &column->validity, at / 8 + 1)) return false;
    if (!column->has_nulls) {
        memset(column->validity.memory, 255, at / 8 + 1);
        column->has_nulls = true;
    }
    uint8_t bit = (uint8_t)(1 << (at & 7)), *byte = &column->validity.memory[at >> 3];
    *byte = is_valid ? *byte | bit : *byte & (uint8_t)~bit;
    return true;
}

static inline bool append_valid(Columns *columns, Column *column) {
    return LIKELY(!column->has_nulls) || append_validity(columns, column, true);
}

static bool append_end(Columns *columns, Column *column, int64_t end) {
    if (UNLIKELY(end > INT32_MAX)) {
        columns->failure = TOO_LARGE;
        return false;
    }
    size_t length = (size_t)column->length;
    if (!room(columns, &column->offsets, (length + 2) * 4)) return false;
    int32_t *offsets = (int32_t *)column->offsets.memory;
    if (!length) offsets[0] = 0;
    offsets[length + 1] = (int32_t)end;
    return true;
}

static inline int32_t last_end(const Column *column) {
    return column->length ? ((int32_t *)column->offsets.memory)[column->length] : 0;
}

bool append_bool(Columns *columns, int32_t at, bool value) {
    Column *column = &columns->all[at];
    size_t length = (size_t)column->length;
    if (!room(columns, &column->data, length / 8 + 1) || !append_valid(columns, column)) return false;
    uint8_t bit = (uint8_t)(1 << (length & 7)), *byte = &column->data.memory[length >> 3];
    if (!(length & 7)) *byte = 0;
    *byte = value ? *byte | bit : *byte & (uint8_t)~bit;
    column->length++;
    return true;
}

bool append_bytes(Columns *columns, int32_t at, const uint8_t *data, size_t size) {
    Column *column = &columns->all[at];
    size_t start = (size_t)last_end(column);
    if (!append_end(columns, column, (int64_t)(start + size)) || !room(columns, &column->data, start + size) ||
        !append_valid(columns, column))
        return false;
    if (size) memcpy(column->data.memory + start, data, size);
    column->length++;
    return true;
}

/* Its items are there already. */
bool append_list(Columns *columns, int32_t at) {
    Column *column = &columns->all[at];
    if (!append_end(columns, column, columns->all[at + 1].length) || !append_valid(columns, column)) return false;
    column->length++;
    return true;
}

/* Its members are appended by themselves. */
bool append_struct(Columns *columns, int32_t at) {
    Column *column = &columns->all[at];
    if (!append_valid(columns, column)) return false;
    column->length++;
    return true;
}

/* A row of zeros, empty strings and lists, which is null or not. */
static bool append_empty(Columns *columns, int32_t at, bool is_null) {
    Column *column = &columns->all[at];
    size_t length = (size_t)column->length, width = (size_t)column->width;
    bool is_done = true;
    switch (column->kind) {
    case COLUMN_BOOL:
        is_done = room(columns, &column->data, length / 8 + 1);
        if (is_done && !(length & 7)) column->data.memory[length >> 3] = 0;
        if (is_done) column->data.memory[length >> 3] &= (uint8_t) ~(1 << (length & 7));
        break;
    case COLUMN_FIXED:
        is_done = room(columns, &column->data, (length + 1) * width);
        if (is_done && width) memset(column->data.memory + length * width, 0, width);
        break;
    case COLUMN_BINARY:
    case COLUMN_LIST:
        is_done = append_end(columns, column, last_end(column));
        break;
    case COLUMN_STRUCT:
        for (int32_t child = at + 1; child < column->end && is_done; child = columns->all[child].end)
            is_done = append_empty(columns, child, is_null);
        break;
    }
    if (!is_done) return false;
    if (column->kind != COLUMN_NULL &&
        !(is_null ? append_validity(columns, column, false) : append_valid(columns, column)))
        return false;
    column->length++;
    return true;
}

bool append_null(Columns *columns, int32_t at) { return append_empty(columns, at, true); }

bool append_zero(Columns *columns, int32_t at) { return append_empty(columns, at, false); }

/* Forget rows from `length` on. */
bool truncate_column(Columns *columns, int32_t at, int64_t length) {
    Column *column = &columns->all[at];
    if (column->length < length) {
        columns->failure = INCONSISTENT;
        return false;
    }
    column->length = length;
    if (column->kind == COLUMN_LIST) return truncate_column(columns, at + 1, last_end(column));
    if (column->kind == COLUMN_STRUCT)
        for (int32_t child = at + 1; child < column->end; child = columns->all[child].end)
            if (!truncate_column(columns, child, length)) return false;
    return true;
}

/* -- To Python */

typedef struct {
    PyObject_HEAD
    void *memory;
    Py_ssize_t size;
} Buffer;

static PyObject *take(State *state, Growing *growing, size_t size) {
    Buffer *buffer = PyObject_New(Buffer, state->buffer_type);
    if (!buffer) return NULL;
    buffer->size = (Py_ssize_t)size;
    buffer->memory = growing->memory;
    if (size < growing->capacity - growing->capacity / 4) { /* a quarter may lie idle */
        void *shrunk = realloc(growing->memory, size ? size : 1);
        if (shrunk) buffer->memory = shrunk;
    }
    growing->memory = NULL;
    growing->capacity = 0;
    PyObject *view = PyMemoryView_FromObject((PyObject *)buffer);
    Py_DECREF(buffer);
    return view;
}

static bool is_consistent(const Columns *columns, int32_t at) {
    const Column *column = &columns->all[at];
    if (column->kind == COLUMN_LIST && columns->all[at + 1].length != last_end(column)) return false;
    for (int32_t child = at + 1; child < column->end; child = columns->all[child].end)
        if ((column->kind == COLUMN_STRUCT && columns->all[child].length != column->length) ||
            !is_consistent(columns, child))
            return false;
    return true;
}

static PyObject *take_column(State *state, Columns *columns, Column *column) {
    size_t length = (size_t)column->length, size = 0;
    PyObject *validity = NULL, *offsets = NULL, *data = NULL, *made = NULL;
    bool has_offsets = column->kind == COLUMN_BINARY || column->kind == COLUMN_LIST;
    if (column->kind == COLUMN_BOOL) size = (length + 7) / 8;
    if (column->kind == COLUMN_FIXED) size = length * (size_t)column->width;
    if (column->kind == COLUMN_BINARY) size = (size_t)last_end(column);
    if (has_offsets && !length) {
        if (!room(columns, &column->offsets, 4)) return PyErr_NoMemory();
        memset(column->offsets.memory, 0, 4);
    }
    validity = column->has_nulls ? take(state, &column->validity, (length + 7) / 8) : Py_NewRef(Py_None);
    offsets = has_offsets ? take(state, &column->offsets, (length + 1) * 4) : Py_NewRef(Py_None);
    data = column->kind == COLUMN_BOOL || column->kind == COLUMN_FIXED || column->kind == COLUMN_BINARY
               ? take(state, &column->data, size)
               : Py_NewRef(Py_None);
    if (validity && offsets && data) made = Py_BuildValue("(LOOO)", (long long)length, validity, offsets, data);
    Py_XDECREF(validity);
    Py_XDECREF(offsets);
    Py_XDECREF(data);
    return made;
}

/* A list of (length, validity or None, offsets or None, data or None). */
PyObject *take_columns(State *state, Columns *columns) {
    if (!is_consistent(columns, 0)) {
        PyErr_SetString(PyExc_ValueError, "the program does not fit its columns");
        return NULL;
    }
    PyObject *made = PyList_New(0);
    for (int32_t i = 0; made && i < columns->count; i++) {
        PyObject *taken = take_column(state, columns, &columns->all[i]);
        if (!taken || PyList_Append(made, taken)) Py_CLEAR(made);
        Py_XDECREF(taken);
    }
    return made;
}

static void buffer_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    free(((Buffer *)self)->memory);
    PyObject_Free(self);
    Py_DECREF(type);
}

static int buffer_get(PyObject *self, Py_buffer *view, int flags) {
    Buffer *buffer = (Buffer *)self;
    return PyBuffer_FillInfo(view, self, buffer->memory ? buffer->memory : (void *)"", buffer->size, 1, flags);
}

static PyType_Slot buffer_slots[] = {
    {Py_tp_dealloc, buffer_dealloc},
    {Py_bf_getbuffer, buffer_get},
    {Py_tp_doc, "Memory of a column."},
    {0, NULL},
};

PyType_Spec buffer_spec = {
    .name = "ottla.client.values.programs._programs.Buffer",
    .basicsize = sizeof(Buffer),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = buffer_slots,
};
