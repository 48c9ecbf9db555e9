/* Records to a batch of magic 2: what `plain.BatchBuilder` says holds here. */
#include "columns.h"

#define MAX_SIZE INT32_MAX
#define SUMMED_AT_ONCE (1 << 14) /* bytes, which the processor's nearest cache still has */

typedef struct {
    PyObject_HEAD
    PyObject *data; /* a bytearray: the batch, header first, with more room than it takes yet; NULL when done */
    uint8_t *memory;
    size_t size, capacity, max_bytes;
    size_t summed; /* of the bytes, so many are in the CRC */
    uint32_t crc;  /* of the records alone */
    int32_t count;
    int64_t base_timestamp, max_timestamp;
} Builder;

static inline uint64_t zigzag(int64_t number) { return (uint64_t)number << 1 ^ (uint64_t)(number >> 63); }

static inline size_t varint_size(uint64_t number) {
    return number < 128 ? 1 : (size_t)(70 - __builtin_clzll(number)) / 7;
}

static inline uint8_t *put_varint(uint8_t *p, uint64_t number) {
    for (; number >= 128; number >>= 7) *p++ = (uint8_t)(number | 128);
    *p++ = (uint8_t)number;
    return p;
}

static inline size_t string_size(const String *string) {
    return string->data ? varint_size(zigzag((int64_t)string->size)) + string->size : 1;
}

static inline uint8_t *put_string(uint8_t *p, const String *string) {
    if (!string->data) {
        *p++ = 1;
        return p;
    }
    p = put_varint(p, zigzag((int64_t)string->size));
    if (string->size) memcpy(p, string->data, string->size);
    return p + string->size;
}

static bool make_room(Builder *self, size_t size) {
    if (LIKELY(size <= self->capacity)) return true;
    size_t capacity = self->capacity * 2;
    if (capacity > self->max_bytes) capacity = self->max_bytes;
    if (capacity < size) capacity = size;
    if (PyByteArray_Resize(self->data, (Py_ssize_t)capacity)) return false;
    self->memory = (uint8_t *)PyByteArray_AsString(self->data);
    self->capacity = capacity;
    return true;
}

/* Take what is new into the CRC. Later it would have to be fetched into the processor's caches again. */
static void sum_up(Builder *self) {
    self->crc = extend_crc32c(self->crc, self->memory + self->summed, self->size - self->summed);
    self->summed = self->size;
}

typedef enum { ADDED, FULL, FAILED } Added;

/* One record up to its headers, for which the caller writes `headers_size` bytes, their count first, at *headers. */
static inline Added add(Builder *self, int64_t timestamp, const String *key, const String *value, size_t headers_size,
                        uint8_t **headers) {
    int64_t since = 0;
    if (!self->count)
        self->base_timestamp = timestamp;
    else if (UNLIKELY(__builtin_sub_overflow(timestamp, self->base_timestamp, &since)))
        return FULL;
    uint64_t delta = zigzag(since), index = zigzag(self->count);
    size_t length = 1 + varint_size(delta) + varint_size(index) + string_size(key) + string_size(value) + headers_size;
    size_t size = self->size + varint_size(zigzag((int64_t)length)) + length;
    if (self->count && (size > self->max_bytes || self->count == INT32_MAX - 1)) return FULL;
    if (UNLIKELY(size > MAX_SIZE)) {
        PyErr_Format(PyExc_ValueError, "a record of %zu bytes is too large for any batch", length);
        return FAILED;
    }
    if (!make_room(self, size)) return FAILED;
    uint8_t *p = put_varint(self->memory + self->size, zigzag((int64_t)length));
    *p++ = 0;
    p = put_varint(p, delta);
    p = put_varint(p, index);
    p = put_string(p, key);
    *headers = put_string(p, value);
    if (!self->count || timestamp > self->max_timestamp) self->max_timestamp = timestamp;
    self->count++;
    self->size = size;
    return ADDED;
}

/* Of a row's headers: their bytes, their count included; false, with an exception, where they lie outside. */
static bool row_headers_size(const Headers *headers, int64_t first, int64_t last, size_t *size) {
    *size = varint_size(zigzag(last - first));
    for (int64_t at = first; at < last; at++) {
        String name, value;
        if (!string_at(&headers->names, (Py_ssize_t)at, &name) || !string_at(&headers->values, (Py_ssize_t)at, &value)) {
            outside();
            return false;
        }
        if (!name.data) {
            PyErr_SetString(PyExc_ValueError, "a header's name is null");
            return false;
        }
        *size += string_size(&name) + string_size(&value);
    }
    return true;
}

static Added add_row(Builder *self, const Rows *rows, Py_ssize_t row, int64_t now) {
    if (self->size - self->summed >= SUMMED_AT_ONCE) sum_up(self);
    String key, value;
    int64_t first, last;
    size_t headers_size = 1;
    uint8_t *p;
    if (!string_at(&rows->key, row, &key) || !string_at(&rows->value, row, &value) ||
        !headers_at(&rows->headers, row, &first, &last)) {
        outside();
        return FAILED;
    }
    if (first != last && !row_headers_size(&rows->headers, first, last, &headers_size)) return FAILED;
    int64_t timestamp = ((const int64_t *)rows->timestamp.buf)[row];
    Added added = add(self, timestamp == -1 ? now : timestamp, &key, &value, headers_size, &p);
    if (added != ADDED) return added;
    p = put_varint(p, zigzag(last - first));
    for (int64_t at = first; at < last; at++) {
        string_at(&rows->headers.names, (Py_ssize_t)at, &key);
        string_at(&rows->headers.values, (Py_ssize_t)at, &value);
        p = put_string(put_string(p, &key), &value);
    }
    return ADDED;
}

static bool is_open(Builder *self) {
    if (self->data) return true;
    PyErr_SetString(PyExc_ValueError, "the batch is finished");
    return false;
}

/* Room at once for about what so many of the rows will take, so that what is there needs not be moved. */
static bool reserve_rows(Builder *self, const Rows *rows, Py_ssize_t count) {
    if (!rows->length || count <= 1) return true;
    size_t share = (size_t)(rows->key.data.len / rows->length) + (size_t)(rows->value.data.len / rows->length) + 16;
    size_t room = self->max_bytes - (self->size < self->max_bytes ? self->size : self->max_bytes);
    size_t wanted = (size_t)count < room / share ? (size_t)count * share : room;
    return make_room(self, self->size + wanted);
}

/* append_rows(columns, order, start, stop, now) */
static PyObject *builder_append_rows(PyObject *object, PyObject *args) {
    Builder *self = (Builder *)object;
    PyObject *raw, *order_object;
    Py_ssize_t start, stop;
    long long now;
    if (!PyArg_ParseTuple(args, "OOnnL:append_rows", &raw, &order_object, &start, &stop, &now) || !is_open(self))
        return NULL;
    Rows rows;
    Py_buffer order = {0};
    PyObject *result = NULL;
    if (!open_rows(raw, &rows)) return NULL;
    Py_ssize_t count = rows.length;
    if (order_object != Py_None) {
        if (PyObject_GetBuffer(order_object, &order, PyBUF_FORMAT | PyBUF_ND)) goto done;
        if (order.itemsize != 8) {
            PyErr_SetString(PyExc_ValueError, "the order of rows is int64");
            goto done;
        }
        count = order.len / 8;
    }
    if (start < 0 || stop < start || stop > count) {
        PyErr_Format(PyExc_ValueError, "there are no rows %zd to %zd of %zd", start, stop, count);
        goto done;
    }
    if (!reserve_rows(self, &rows, stop - start)) goto done;
    for (; start < stop; start++) {
        int64_t row = order.obj ? ((const int64_t *)order.buf)[start] : start;
        if (UNLIKELY(row < 0 || row >= rows.length)) {
            PyErr_Format(PyExc_ValueError, "there is no row %lld of %zd", (long long)row, rows.length);
            goto done;
        }
        Added added = add_row(self, &rows, (Py_ssize_t)row, now);
        if (added == FULL) break;
        if (added == FAILED) goto done;
    }
    result = PyLong_FromSsize_t(start);
done:
    if (order.obj) PyBuffer_Release(&order);
    close_rows(&rows);
    return result;
}

/* The bytes of what is bytes already, or has the buffer protocol (`view` is to be released then). */
static bool open_string(PyObject *object, String *string, Py_buffer *view) {
    view->obj = NULL;
    string->data = NULL;
    string->size = 0;
    if (object == Py_None) return true;
    if (PyBytes_Check(object)) {
        string->data = (const uint8_t *)PyBytes_AsString(object);
        string->size = (size_t)PyBytes_Size(object);
        return true;
    }
    if (PyObject_GetBuffer(object, view, PyBUF_SIMPLE)) return false;
    string->data = view->buf ? view->buf : (const uint8_t *)"";
    string->size = (size_t)view->len;
    return true;
}

/* The headers that Python gives, encoded with their count in front, as bytes. */
static PyObject *encode_headers(PyObject *headers) {
    Py_ssize_t count = PySequence_Size(headers);
    if (count < 0) return NULL;
    PyObject *encoded = PyByteArray_FromStringAndSize(NULL, 10);
    if (!encoded) return NULL;
    size_t size = (size_t)(put_varint((uint8_t *)PyByteArray_AsString(encoded), zigzag(count)) -
                           (uint8_t *)PyByteArray_AsString(encoded));
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *pair = PySequence_GetItem(headers, i);
        PyObject *name = pair ? PySequence_GetItem(pair, 0) : NULL;
        PyObject *held = name ? PySequence_GetItem(pair, 1) : NULL;
        if (name && PyUnicode_Check(name)) {
            PyObject *text = name;
            name = PyUnicode_AsEncodedString(text, "utf-8", "surrogateescape");
            Py_DECREF(text);
        }
        Py_buffer name_view = {0}, value_view = {0};
        String key, value;
        bool is_fine = held && name && open_string(name, &key, &name_view) && open_string(held, &value, &value_view);
        if (is_fine && !key.data) {
            PyErr_SetString(PyExc_TypeError, "a header needs a name");
            is_fine = false;
        }
        if (is_fine) {
            size_t more = size + string_size(&key) + string_size(&value);
            is_fine = PyByteArray_Resize(encoded, (Py_ssize_t)more + 10) == 0;
            if (is_fine) put_string(put_string((uint8_t *)PyByteArray_AsString(encoded) + size, &key), &value);
            size = more;
        }
        if (name_view.obj) PyBuffer_Release(&name_view);
        if (value_view.obj) PyBuffer_Release(&value_view);
        Py_XDECREF(pair);
        Py_XDECREF(name);
        Py_XDECREF(held);
        if (!is_fine) {
            Py_DECREF(encoded);
            return NULL;
        }
    }
    PyObject *done = PyBytes_FromStringAndSize(PyByteArray_AsString(encoded), (Py_ssize_t)size);
    Py_DECREF(encoded);
    return done;
}

/* append(timestamp, key, value, headers) */
static PyObject *builder_append(PyObject *object, PyObject *const *args, Py_ssize_t count) {
    Builder *self = (Builder *)object;
    if (count != 4) {
        PyErr_SetString(PyExc_TypeError, "append takes a timestamp, a key, a value and headers");
        return NULL;
    }
    if (!is_open(self)) return NULL;
    int64_t timestamp = PyLong_AsLongLong(args[0]);
    if (timestamp == -1 && PyErr_Occurred()) return NULL;
    Py_buffer key_view, value_view = {0};
    String key, value, headers = {(const uint8_t *)"", 1};
    if (!open_string(args[1], &key, &key_view)) return NULL;
    PyObject *encoded = NULL, *result = NULL;
    if (!open_string(args[2], &value, &value_view)) goto done;
    if (!PyTuple_Check(args[3]) || PyTuple_Size(args[3])) {
        encoded = encode_headers(args[3]);
        if (!encoded) goto done;
        headers.data = (const uint8_t *)PyBytes_AsString(encoded);
        headers.size = (size_t)PyBytes_Size(encoded);
    }
    if (!is_open(self)) goto done; /* the headers may be anything, and have run anything */
    uint8_t *p;
    switch (add(self, timestamp, &key, &value, headers.size, &p)) {
    case ADDED:
        memcpy(p, headers.data, headers.size);
        result = Py_NewRef(Py_True);
        break;
    case FULL:
        result = Py_NewRef(Py_False);
        break;
    case FAILED:
        break;
    }
done:
    if (key_view.obj) PyBuffer_Release(&key_view);
    if (value_view.obj) PyBuffer_Release(&value_view);
    Py_XDECREF(encoded);
    return result;
}

static PyObject *builder_finish(PyObject *object, PyObject *ignored) {
    (void)ignored;
    Builder *self = (Builder *)object;
    if (!is_open(self)) return NULL;
    PyObject *data = self->data;
    sum_up(self);
    if (PyByteArray_Resize(data, (Py_ssize_t)self->size)) return NULL;
    uint8_t *p = (uint8_t *)PyByteArray_AsString(data);
    self->data = NULL;
    memset(p, 0, HEADER_SIZE);
    put32(p + LENGTH, (uint32_t)(self->size - LEADER_EPOCH));
    put32(p + LEADER_EPOCH, (uint32_t)-1);
    p[MAGIC] = 2;
    put32(p + LAST_OFFSET_DELTA, (uint32_t)(self->count - 1));
    put64(p + BASE_TIMESTAMP, (uint64_t)self->base_timestamp);
    put64(p + MAX_TIMESTAMP, (uint64_t)self->max_timestamp);
    memset(p + PRODUCER_ID, 255, 14); /* no producer, epoch, sequence */
    put32(p + RECORD_COUNT, (uint32_t)self->count);
    put32(p + CRC, shift_crc32c(crc32c(p + ATTRIBUTES, HEADER_SIZE - ATTRIBUTES), self->size - HEADER_SIZE) ^ self->crc);
    return data;
}

/* seal(batch, producer_id, producer_epoch, base_sequence, is_transactional) */
PyObject *py_seal(PyObject *module, PyObject *args) {
    Py_buffer batch;
    long long producer_id;
    short epoch;
    int sequence, is_transactional;
    (void)module;
    if (!PyArg_ParseTuple(args, "w*Lhip:seal", &batch, &producer_id, &epoch, &sequence, &is_transactional)) return NULL;
    if (batch.len < HEADER_SIZE) {
        PyErr_Format(PyExc_ValueError, "a batch of %zd bytes", batch.len);
        PyBuffer_Release(&batch);
        return NULL;
    }
    uint8_t *p = batch.buf;
    uint32_t before = crc32c(p + ATTRIBUTES, HEADER_SIZE - ATTRIBUTES);
    p[ATTRIBUTES + 1] = (uint8_t)((p[ATTRIBUTES + 1] & ~TRANSACTIONAL) | (is_transactional ? TRANSACTIONAL : 0));
    put64(p + PRODUCER_ID, (uint64_t)producer_id);
    put16(p + PRODUCER_EPOCH, (uint16_t)epoch);
    put32(p + BASE_SEQUENCE, (uint32_t)sequence);
    uint32_t after = crc32c(p + ATTRIBUTES, HEADER_SIZE - ATTRIBUTES);
    /* A CRC is linear: what the header changes in it does not depend on the records. */
    put32(p + CRC, get32(p + CRC) ^ shift_crc32c(before ^ after, (size_t)batch.len - HEADER_SIZE));
    PyBuffer_Release(&batch);
    Py_RETURN_NONE;
}

static PyObject *builder_new(PyTypeObject *type, PyObject *args, PyObject *keywords) {
    Py_ssize_t max_bytes;
    if (keywords && PyDict_Size(keywords)) {
        PyErr_SetString(PyExc_TypeError, "BatchBuilder takes max_bytes by position");
        return NULL;
    }
    if (!PyArg_ParseTuple(args, "n:BatchBuilder", &max_bytes)) return NULL;
    if (max_bytes < 1 || max_bytes > MAX_SIZE) {
        PyErr_Format(PyExc_ValueError, "a batch of %zd bytes", max_bytes);
        return NULL;
    }
    Builder *self = (Builder *)PyType_GenericAlloc(type, 0);
    if (!self) return NULL;
    self->max_bytes = (size_t)max_bytes;
    self->size = self->summed = HEADER_SIZE;
    self->base_timestamp = self->max_timestamp = -1;
    self->data = PyByteArray_FromStringAndSize(NULL, 0);
    if (!self->data || !make_room(self, max_bytes < 1024 ? HEADER_SIZE : 1024)) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static void builder_dealloc(PyObject *object) {
    PyTypeObject *type = Py_TYPE(object);
    Py_XDECREF(((Builder *)object)->data);
    PyObject_Free(object);
    Py_DECREF(type);
}

static PyObject *builder_count(PyObject *self, void *ignored) {
    (void)ignored;
    return PyLong_FromLong(((Builder *)self)->count);
}

static PyObject *builder_size(PyObject *self, void *ignored) {
    (void)ignored;
    return PyLong_FromSize_t(((Builder *)self)->size);
}

static PyMethodDef builder_methods[] = {
    {"append", (PyCFunction)(void (*)(void))builder_append, METH_FASTCALL, "See plain.BatchBuilder."},
    {"append_rows", builder_append_rows, METH_VARARGS, "See plain.BatchBuilder."},
    {"finish", builder_finish, METH_NOARGS, "See plain.BatchBuilder."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef builder_properties[] = {
    {"count", builder_count, NULL, "The records so far.", NULL},
    {"size", builder_size, NULL, "The bytes so far, header included.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot builder_slots[] = {
    {Py_tp_new, builder_new},
    {Py_tp_dealloc, builder_dealloc},
    {Py_tp_methods, builder_methods},
    {Py_tp_getset, builder_properties},
    {Py_tp_doc, "See plain.BatchBuilder."},
    {0, NULL},
};

PyType_Spec builder_spec = {
    .name = "ottla.client.columns._columns.BatchBuilder",
    .basicsize = sizeof(Builder),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = builder_slots,
};
