/* Columns that Python gives, and their rows as records. */
#include "columns.h"

static bool open_numbers(PyObject *object, const char *formats, Py_buffer *view) {
    if (PyObject_GetBuffer(object, view, PyBUF_FORMAT | PyBUF_ND)) return false;
    const char *format = view->format ? view->format : "B";
    Py_ssize_t size = format[0] == 'i' ? 4 : format[0] == 'q' ? 8 : 1;
    if (view->ndim != 1 || format[0] == 0 || format[1] || !strchr(formats, format[0]) || view->itemsize != size) {
        PyErr_Format(PyExc_ValueError, "a column has format %s, not one of %s", format, formats);
        PyBuffer_Release(view);
        return false;
    }
    return true;
}

static bool open_offsets(PyObject *object, Py_ssize_t start, Py_ssize_t length, Py_buffer *view) {
    if (!open_numbers(object, "iq", view)) return false;
    Py_ssize_t count = view->len / view->itemsize;
    if (start < 0 || length < 0 || start >= count || length >= count - start) {
        PyErr_Format(PyExc_ValueError, "%zd offsets do not hold %zd items from %zd on", count, length, start);
        PyBuffer_Release(view);
        return false;
    }
    return true;
}

bool open_binary(PyObject *raw, Binary *binary) {
    PyObject *offsets, *data, *validity;
    memset(binary, 0, sizeof *binary);
    if (!PyTuple_Check(raw)) {
        PyErr_SetString(PyExc_TypeError, "a column is a tuple");
        return false;
    }
    if (!PyArg_ParseTuple(raw, "OOOnn", &offsets, &data, &validity, &binary->start, &binary->length)) return false;
    if (!open_offsets(offsets, binary->start, binary->length, &binary->offsets)) return false;
    if (PyObject_GetBuffer(data, &binary->data, PyBUF_SIMPLE)) goto failed;
    if (validity != Py_None) {
        if (PyObject_GetBuffer(validity, &binary->validity, PyBUF_SIMPLE)) goto failed;
        if (binary->validity.len < (binary->start + binary->length + 7) / 8) {
            PyErr_SetString(PyExc_ValueError, "a column's validity is too short");
            goto failed;
        }
    }
    return true;
failed:
    close_binary(binary);
    return false;
}

void close_binary(Binary *binary) {
    if (binary->offsets.obj) PyBuffer_Release(&binary->offsets);
    if (binary->data.obj) PyBuffer_Release(&binary->data);
    if (binary->validity.obj) PyBuffer_Release(&binary->validity);
}

static bool open_headers(PyObject *raw, Headers *headers) {
    PyObject *offsets, *names, *values;
    memset(headers, 0, sizeof *headers);
    if (!PyTuple_Check(raw)) {
        PyErr_SetString(PyExc_TypeError, "a column is a tuple");
        return false;
    }
    if (!PyArg_ParseTuple(raw, "OOOnn", &offsets, &names, &values, &headers->start, &headers->length)) return false;
    if (!open_offsets(offsets, headers->start, headers->length, &headers->offsets)) return false;
    if (open_binary(names, &headers->names)) {
        if (open_binary(values, &headers->values)) {
            if (headers->names.length == headers->values.length) return true;
            PyErr_SetString(PyExc_ValueError, "headers have as many names as values");
            close_binary(&headers->values);
        }
        close_binary(&headers->names);
    }
    PyBuffer_Release(&headers->offsets);
    return false;
}

static void close_headers(Headers *headers) {
    if (!headers->offsets.obj) return;
    PyBuffer_Release(&headers->offsets);
    close_binary(&headers->names);
    close_binary(&headers->values);
}

bool open_rows(PyObject *raw, Rows *rows) {
    PyObject *partition, *offset, *timestamp, *kind, *key, *value, *headers;
    memset(rows, 0, sizeof *rows);
    if (!PyTuple_Check(raw)) {
        PyErr_SetString(PyExc_TypeError, "columns are a tuple");
        return false;
    }
    if (!PyArg_ParseTuple(raw, "OOOOOOO", &partition, &offset, &timestamp, &kind, &key, &value, &headers)) return false;
    if (!open_numbers(partition, "i", &rows->partition) || !open_numbers(offset, "q", &rows->offset) ||
        !open_numbers(timestamp, "q", &rows->timestamp) || !open_numbers(kind, "b", &rows->kind) ||
        !open_binary(key, &rows->key) || !open_binary(value, &rows->value) || !open_headers(headers, &rows->headers))
        goto failed;
    rows->length = rows->key.length;
    if (rows->partition.len != rows->length * 4 || rows->offset.len != rows->length * 8 ||
        rows->timestamp.len != rows->length * 8 || rows->kind.len != rows->length ||
        rows->value.length != rows->length || rows->headers.length != rows->length) {
        PyErr_SetString(PyExc_ValueError, "columns differ in length");
        goto failed;
    }
    return true;
failed:
    close_rows(rows);
    return false;
}

/* Also of what `open_rows` left half open, and of what is closed already. */
void close_rows(Rows *rows) {
    if (rows->partition.obj) PyBuffer_Release(&rows->partition);
    if (rows->offset.obj) PyBuffer_Release(&rows->offset);
    if (rows->timestamp.obj) PyBuffer_Release(&rows->timestamp);
    if (rows->kind.obj) PyBuffer_Release(&rows->kind);
    close_binary(&rows->key);
    close_binary(&rows->value);
    close_headers(&rows->headers);
    memset(rows, 0, sizeof *rows);
}

PyObject *outside(void) {
    PyErr_SetString(PyExc_ValueError, "a column's offsets point outside of its data");
    return NULL;
}

typedef struct {
    PyObject_HEAD
    PyTypeObject *record_type; /* a named tuple: see columns.Record */
    PyObject *topic, *no_headers;
    PyObject *partition, *timestamp; /* of the row before, which most often are the next one's as well */
    int64_t last_partition, last_timestamp;
    Rows rows;
    Py_ssize_t row;
} Records;

/* records(record_type, topic, columns): an iterator over the rows as `record_type`s. */
PyObject *py_records(PyObject *module, PyObject *args) {
    PyObject *type, *topic, *raw;
    if (!PyArg_ParseTuple(args, "OOO:records", &type, &topic, &raw)) return NULL;
    if (!PyType_Check(type) || !PyType_IsSubtype((PyTypeObject *)type, &PyTuple_Type)) {
        PyErr_SetString(PyExc_TypeError, "records are named tuples");
        return NULL;
    }
    Records *self = (Records *)PyType_GenericAlloc(state_of(module)->records_type, 0); /* zeroed */
    if (!self) return NULL;
    self->record_type = (PyTypeObject *)Py_NewRef(type);
    self->topic = Py_NewRef(topic);
    self->no_headers = PyTuple_New(0);
    if (!self->no_headers || !open_rows(raw, &self->rows)) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static PyObject *bytes_or_none(const String *string) {
    if (!string->data) return Py_NewRef(Py_None);
    return PyBytes_FromStringAndSize((const char *)string->data, (Py_ssize_t)string->size);
}

/* strings(column): a list. */
PyObject *py_strings(PyObject *module, PyObject *args) {
    PyObject *raw;
    Binary column;
    (void)module;
    if (!PyArg_ParseTuple(args, "O:strings", &raw) || !open_binary(raw, &column)) return NULL;
    PyObject *list = PyList_New(column.length);
    for (Py_ssize_t row = 0; list && row < column.length; row++) {
        String string;
        PyObject *made = string_at(&column, row, &string) ? bytes_or_none(&string) : outside();
        if (made)
            PyList_SetItem(list, row, made);
        else
            Py_CLEAR(list);
    }
    close_binary(&column);
    return list;
}

static PyObject *headers_of(Records *self, int64_t first, int64_t last) {
    PyObject *headers = PyTuple_New((Py_ssize_t)(last - first));
    if (!headers) return NULL;
    for (int64_t at = first; at < last; at++) {
        String name, value;
        if (!string_at(&self->rows.headers.names, (Py_ssize_t)at, &name) ||
            !string_at(&self->rows.headers.values, (Py_ssize_t)at, &value)) {
            outside();
            goto failed;
        }
        PyObject *text = PyUnicode_DecodeUTF8((const char *)name.data, (Py_ssize_t)name.size, "surrogateescape");
        PyObject *held = text ? bytes_or_none(&value) : NULL;
        PyObject *pair = held ? PyTuple_Pack(2, text, held) : NULL;
        Py_XDECREF(text);
        Py_XDECREF(held);
        if (!pair) goto failed;
        PyTuple_SetItem(headers, (Py_ssize_t)(at - first), pair);
    }
    return headers;
failed:
    Py_DECREF(headers);
    return NULL;
}

/* A number of this row: the object of the row before where that has the same. */
static PyObject *number(int64_t value, PyObject **object, int64_t *last) {
    if (!*object || *last != value) {
        PyObject *made = PyLong_FromLongLong(value);
        if (!made) return NULL;
        Py_XDECREF(*object);
        *object = made;
        *last = value;
    }
    return Py_NewRef(*object);
}

static PyObject *records_next(PyObject *object) {
    Records *self = (Records *)object;
    Rows *rows = &self->rows;
    Py_ssize_t row = self->row;
    if (row >= rows->length) {
        close_rows(rows);
        self->row = 0;
        return NULL;
    }
    String key, value;
    int64_t first, last;
    if (!string_at(&rows->key, row, &key) || !string_at(&rows->value, row, &value) ||
        !headers_at(&rows->headers, row, &first, &last))
        return outside();
    PyObject *record = PyType_GenericAlloc(self->record_type, 8);
    if (!record) return NULL;
    PyObject *fields[8] = {
        Py_NewRef(self->topic),
        number(((const int32_t *)rows->partition.buf)[row], &self->partition, &self->last_partition),
        PyLong_FromLongLong(((const int64_t *)rows->offset.buf)[row]),
        number(((const int64_t *)rows->timestamp.buf)[row], &self->timestamp, &self->last_timestamp),
        PyLong_FromLong(((const int8_t *)rows->kind.buf)[row]),
        bytes_or_none(&key),
        bytes_or_none(&value),
        first == last ? Py_NewRef(self->no_headers) : headers_of(self, first, last),
    };
    bool is_whole = true;
    for (int i = 0; i < 8; i++) {
        is_whole &= fields[i] != NULL;
        PyTuple_SetItem(record, i, fields[i]);
    }
    if (!is_whole) {
        Py_DECREF(record);
        return NULL;
    }
    self->row++;
    return record;
}

static void records_dealloc(PyObject *object) {
    Records *self = (Records *)object;
    PyTypeObject *type = Py_TYPE(object);
    close_rows(&self->rows);
    Py_XDECREF((PyObject *)self->record_type);
    Py_XDECREF(self->topic);
    Py_XDECREF(self->no_headers);
    Py_XDECREF(self->partition);
    Py_XDECREF(self->timestamp);
    PyObject_Free(object);
    Py_DECREF(type);
}

static PyObject *records_iter(PyObject *self) { return Py_NewRef(self); }

static PyType_Slot records_slots[] = {
    {Py_tp_dealloc, records_dealloc},
    {Py_tp_iter, records_iter},
    {Py_tp_iternext, records_next},
    {Py_tp_doc, "An iterator over rows as records."},
    {0, NULL},
};

PyType_Spec records_spec = {
    .name = "ottla.client.columns._columns.Records",
    .basicsize = sizeof(Records),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = records_slots,
};
