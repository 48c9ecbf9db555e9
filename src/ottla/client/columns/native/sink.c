/* Where decoded records go, row by row, until they are taken as columns: `plain.Sink`. */
#include "sink.h"

static void for_each(Sink *sink, Strings *all[4]) {
    all[0] = &sink->key;
    all[1] = &sink->value;
    all[2] = &sink->names;
    all[3] = &sink->values;
}

Mark mark(Sink *sink) {
    Strings *all[4];
    Mark made = {.count = sink->count};
    for_each(sink, all);
    for (int i = 0; i < 4; i++) {
        made.strings[i].count = all[i]->count;
        made.strings[i].size = all[i]->size;
        made.strings[i].nulls = all[i]->nulls;
    }
    return made;
}

void go_back(Sink *sink, const Mark *to) {
    Strings *all[4];
    for_each(sink, all);
    for (int i = 0; i < 4; i++) {
        for (size_t at = to->strings[i].count; at < all[i]->count && all[i]->nulls; at++)
            all[i]->validity.memory[at >> 3] |= (uint8_t)(1 << (at & 7));
        all[i]->count = to->strings[i].count;
        all[i]->size = to->strings[i].size;
        all[i]->nulls = to->strings[i].nulls;
    }
    sink->count = to->count;
}

size_t used(const Sink *sink) {
    return sink->count * ROW_BYTES + sink->key.size + sink->value.size + sink->names.size + sink->values.size;
}

bool grow_strings(Strings *strings, size_t count) {
    size_t bits = strings->validity.capacity;
    if (!grow(&strings->offsets, (strings->count + count + 1) * 4) || !grow(&strings->data, 1) ||
        !grow(&strings->validity, (strings->count + count) / 8 + 1))
        return false;
    if (strings->validity.capacity > bits) memset(strings->validity.memory + bits, 255, strings->validity.capacity - bits);
    if (!strings->count) ((int32_t *)strings->offsets.memory)[0] = 0;
    return true;
}

bool grow_sink(Sink *sink, size_t count) {
    size_t total = sink->count + count;
    if (!grow(&sink->partition, total * 4) || !grow(&sink->offset, total * 8) || !grow(&sink->timestamp, total * 8) ||
        !grow(&sink->kind, total) || !grow(&sink->header_offsets, (total + 1) * 4) ||
        !grow_strings(&sink->key, count) || !grow_strings(&sink->value, count))
        return false;
    if (!sink->count) ((int32_t *)sink->header_offsets.memory)[0] = 0;
    return true;
}

bool reserve_sink(Sink *sink, size_t count, size_t size) {
    size_t keys = count * 32 < size ? count * 32 : size;
    return reserve(&sink->partition, count * 4) && reserve(&sink->offset, count * 8) &&
           reserve(&sink->timestamp, count * 8) && reserve(&sink->kind, count) &&
           reserve(&sink->header_offsets, (count + 1) * 4) && reserve(&sink->key.offsets, (count + 1) * 4) &&
           reserve(&sink->value.offsets, (count + 1) * 4) && reserve(&sink->key.data, keys + 1) &&
           reserve(&sink->value.data, size + 1);
}

static void drop_sink(Sink *sink) {
    Strings *all[4];
    for_each(sink, all);
    for (int i = 0; i < 4; i++) {
        drop(&all[i]->offsets);
        drop(&all[i]->data);
        drop(&all[i]->validity);
    }
    drop(&sink->partition);
    drop(&sink->offset);
    drop(&sink->timestamp);
    drop(&sink->kind);
    drop(&sink->header_offsets);
    memset(sink, 0, sizeof *sink);
}

static PyObject *take_strings(State *state, Strings *strings) {
    if (!strings->count && !grow_strings(strings, 0)) return PyErr_NoMemory();
    size_t count = strings->count;
    PyObject *offsets = take(state, &strings->offsets, count + 1, 'i');
    PyObject *data = offsets ? take(state, &strings->data, strings->size, 'B') : NULL;
    PyObject *validity = NULL;
    if (data) validity = strings->nulls ? take(state, &strings->validity, (count + 7) / 8, 'B') : Py_NewRef(Py_None);
    PyObject *taken = validity ? Py_BuildValue("(OOOnn)", offsets, data, validity, (Py_ssize_t)0, (Py_ssize_t)count) : NULL;
    Py_XDECREF(offsets);
    Py_XDECREF(data);
    Py_XDECREF(validity);
    return taken;
}

static PyObject *take_columns(State *state, Sink *sink) {
    size_t count = sink->count;
    if (!grow_sink(sink, 0)) return PyErr_NoMemory();
    PyObject *parts[10] = {0}, *columns = NULL;
    bool is_whole = (parts[0] = take(state, &sink->partition, count, 'i')) &&
                    (parts[1] = take(state, &sink->offset, count, 'q')) &&
                    (parts[2] = take(state, &sink->timestamp, count, 'q')) &&
                    (parts[3] = take(state, &sink->kind, count, 'b')) && (parts[4] = take_strings(state, &sink->key)) &&
                    (parts[5] = take_strings(state, &sink->value)) &&
                    (parts[6] = take(state, &sink->header_offsets, count + 1, 'i')) &&
                    (parts[7] = take_strings(state, &sink->names)) && (parts[8] = take_strings(state, &sink->values)) &&
                    (parts[9] = Py_BuildValue("(OOOnn)", parts[6], parts[7], parts[8], (Py_ssize_t)0, (Py_ssize_t)count));
    if (is_whole) columns = PyTuple_Pack(7, parts[0], parts[1], parts[2], parts[3], parts[4], parts[5], parts[9]);
    for (int i = 0; i < 10; i++) Py_XDECREF(parts[i]);
    return columns;
}

bool is_idle(SinkObject *self) {
    if (!self->is_busy) return true;
    PyErr_SetString(PyExc_ValueError, "the sink is in use");
    return false;
}

static PyObject *sink_take(PyObject *object, PyObject *ignored) {
    SinkObject *self = (SinkObject *)object;
    (void)ignored;
    if (!is_idle(self)) return NULL;
    PyObject *columns = take_columns((State *)PyType_GetModuleState(Py_TYPE(object)), &self->sink);
    drop_sink(&self->sink);
    return columns;
}

static PyObject *sink_count(PyObject *object, void *ignored) {
    (void)ignored;
    return PyLong_FromSize_t(((SinkObject *)object)->sink.count);
}

static PyObject *sink_new(PyTypeObject *type, PyObject *args, PyObject *keywords) {
    Py_ssize_t expected = 0;
    if (keywords && PyDict_Size(keywords)) {
        PyErr_SetString(PyExc_TypeError, "Sink takes expected by position");
        return NULL;
    }
    if (!PyArg_ParseTuple(args, "|n:Sink", &expected)) return NULL;
    SinkObject *self = (SinkObject *)PyType_GenericAlloc(type, 0); /* zeroed */
    if (self) self->expected = expected < 0 ? 0 : (size_t)expected;
    return (PyObject *)self;
}

static void sink_dealloc(PyObject *object) {
    PyTypeObject *type = Py_TYPE(object);
    drop_sink(&((SinkObject *)object)->sink);
    PyObject_Free(object);
    Py_DECREF(type);
}

static PyMethodDef sink_methods[] = {
    {"take", sink_take, METH_NOARGS, "See plain.Sink."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef sink_properties[] = {
    {"count", sink_count, NULL, "The rows so far.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot sink_slots[] = {
    {Py_tp_new, sink_new},
    {Py_tp_dealloc, sink_dealloc},
    {Py_tp_methods, sink_methods},
    {Py_tp_getset, sink_properties},
    {Py_tp_doc, "See plain.Sink."},
    {0, NULL},
};

PyType_Spec sink_spec = {
    .name = "ottla.client.columns._columns.Sink",
    .basicsize = sizeof(SinkObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = sink_slots,
};
