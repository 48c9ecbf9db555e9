/* A column of framed values: each by the program that its schema's id has. */
#include "programs.h"

#include <stdlib.h>

/* What comes in: see BinaryColumn. */
typedef struct {
    Py_buffer offsets, data, validity, assigned; /* obj is NULL for those that are not there */
    Py_ssize_t start, length;
} Values;

typedef struct {
    int64_t id;
    const Program *program;
} Known;

typedef struct {
    int64_t row, detail, id;
    int reason;
} Broken;

static void close_values(Values *values) {
    if (values->offsets.obj) PyBuffer_Release(&values->offsets);
    if (values->data.obj) PyBuffer_Release(&values->data);
    if (values->validity.obj) PyBuffer_Release(&values->validity);
    if (values->assigned.obj) PyBuffer_Release(&values->assigned);
}

static bool open_values(PyObject *raw, PyObject *assigned, Values *values) {
    PyObject *offsets, *data, *validity;
    memset(values, 0, sizeof *values);
    if (!PyTuple_Check(raw)) {
        PyErr_SetString(PyExc_TypeError, "a column is a tuple");
        return false;
    }
    if (!PyArg_ParseTuple(raw, "OOOnn", &offsets, &data, &validity, &values->start, &values->length)) return false;
    if (PyObject_GetBuffer(offsets, &values->offsets, PyBUF_FORMAT | PyBUF_ND) ||
        PyObject_GetBuffer(data, &values->data, PyBUF_SIMPLE) ||
        (validity != Py_None && PyObject_GetBuffer(validity, &values->validity, PyBUF_SIMPLE)) ||
        (assigned != Py_None && PyObject_GetBuffer(assigned, &values->assigned, PyBUF_SIMPLE))) {
        close_values(values);
        return false;
    }
    const char *format = values->offsets.format ? values->offsets.format : "B";
    Py_ssize_t size = values->offsets.itemsize, count = size ? values->offsets.len / size : 0;
    bool is_good = values->offsets.ndim == 1 && ((!strcmp(format, "i") && size == 4) || (!strcmp(format, "q") && size == 8));
    is_good = is_good && values->start >= 0 && values->length >= 0 && values->start < count &&
              values->length < count - values->start;
    is_good = is_good && (!values->validity.obj || values->validity.len >= (values->start + values->length + 7) / 8);
    if (!is_good || (values->assigned.obj && values->assigned.len / 4 < values->length)) {
        PyErr_SetString(PyExc_ValueError, "this is no column");
        close_values(values);
        return false;
    }
    return true;
}

static int64_t offset_at(const Values *values, Py_ssize_t at) {
    return values->offsets.itemsize == 4 ? ((const int32_t *)values->offsets.buf)[at]
                                         : ((const int64_t *)values->offsets.buf)[at];
}

/* False where it points outside of the data; `at` is NULL for a null. */
static bool value_at(const Values *values, Py_ssize_t row, Input *value) {
    Py_ssize_t at = values->start + row;
    *value = (Input){NULL, NULL};
    if (values->validity.obj && !(((const uint8_t *)values->validity.buf)[at >> 3] >> (at & 7) & 1)) return true;
    int64_t first = offset_at(values, at), last = offset_at(values, at + 1);
    if (first < 0 || last < first || last > values->data.len) return false;
    const uint8_t *data = values->data.len ? (const uint8_t *)values->data.buf : (const uint8_t *)"";
    *value = (Input){data + first, data + last};
    return true;
}

static int32_t assigned_at(const Values *values, Py_ssize_t row) {
    return values->assigned.obj ? ((const int32_t *)values->assigned.buf)[row] : 0;
}

/* A frame's id, and past it. */
static bool read_frame(Machine *machine, Input *value, int64_t *id) {
    *id = 0;
    if (value->end - value->at < 5) return broken(machine, SHORT_FRAME, value->end - value->at);
    if (*value->at) return broken(machine, NO_FRAME, *value->at);
    const uint8_t *p = value->at;
    *id = (int64_t)((uint32_t)p[1] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 8 | p[4]);
    value->at += 5;
    return true;
}

/* The indexes of a Protobuf message: which of its file's it is. */
static bool read_indexes(Machine *machine, Input *value) {
    const Program *program = machine->program;
    uint64_t raw;
    if (program->index_count < 0) return true;
    if (!read_varint(machine, value, &raw)) return false;
    int64_t count = unzigzag(raw);
    if (!count) return (program->index_count == 1 && !program->indexes[0]) || broken(machine, OTHER_MESSAGE, 0);
    bool is_this = count == program->index_count;
    for (int64_t i = 0; is_this && i < count; i++) {
        if (!read_varint(machine, value, &raw)) return false;
        is_this = unzigzag(raw) == program->indexes[i];
    }
    return is_this || broken(machine, OTHER_MESSAGE, 0);
}

static bool decode_value(Machine *machine, Input value, const Known *known) {
    machine->program = known->program;
    machine->begin = value.at;
    machine->steps = (int64_t)(value.end - value.at + 16) * machine->program->count + 65536;
    machine->depth = 0;
    if (known->id >= 0 && !read_indexes(machine, &value)) return false;
    if (!run(machine, &value, machine->program->entry)) return false;
    return value.at == value.end || broken(machine, LEFT_OVER, value.end - value.at);
}

static void drop_scratch(Machine *machine) {
    while (machine->scratch) {
        Scratch *next = machine->scratch->next;
        free(machine->scratch);
        machine->scratch = next;
    }
}

/* All rows; those that are broken are put down. False where the batch has to be given up. */
static bool decode_rows(Machine *machine, const Values *values, const Known *known, Py_ssize_t count, Growing *list,
                        Py_ssize_t *broken_count) {
    const Known *last = known;
    Columns *columns = &machine->columns;
    for (Py_ssize_t row = 0; row < values->length; row++) {
        Input value;
        int64_t id = assigned_at(values, row);
        if (!value_at(values, row, &value)) {
            columns->failure = INCONSISTENT;
            return false;
        }
        if (!value.at) {
            if (!append_null(columns, 0)) return false;
            continue;
        }
        size_t memory_left = columns->memory_left;
        machine->reason = SOUND;
        bool is_sound = id ? true : read_frame(machine, &value, &id);
        if (is_sound && !(last && last->id == id)) {
            last = NULL;
            for (Py_ssize_t i = 0; i < count && !last; i++)
                if (known[i].id == id) last = &known[i];
            if (!last) is_sound = broken(machine, UNKNOWN_ID, id);
        }
        is_sound = is_sound && decode_value(machine, value, last);
        if (machine->scratch) {
            drop_scratch(machine);
            columns->memory_left = memory_left;
        }
        if (is_sound) continue;
        if (columns->failure != SOUND) return false;
        if (!truncate_column(columns, 0, row) || !append_null(columns, 0)) return false;
        if (!room(columns, list, ((size_t)*broken_count + 1) * sizeof(Broken))) return false;
        ((Broken *)list->memory)[(*broken_count)++] = (Broken){row, machine->detail, id, machine->reason};
    }
    return true;
}

static PyObject *list_of_broken(const Growing *list, Py_ssize_t count) {
    PyObject *made = PyList_New(0);
    for (Py_ssize_t i = 0; made && i < count; i++) {
        const Broken *each = &((const Broken *)list->memory)[i];
        PyObject *item = Py_BuildValue("(LiLL)", (long long)each->row, each->reason, (long long)each->detail,
                                       (long long)each->id);
        if (!item || PyList_Append(made, item)) Py_CLEAR(made);
        Py_XDECREF(item);
    }
    return made;
}

/* The programs by id. They are kept alive by the dict, and fit the layout. */
static Known *open_programs(State *state, PyObject *programs, PyObject *layout, Py_ssize_t *count, int32_t *slots) {
    Py_ssize_t at = 0;
    PyObject *key, *value;
    Py_buffer view;
    if (!PyDict_Check(programs)) {
        PyErr_SetString(PyExc_TypeError, "programs are a dict");
        return NULL;
    }
    if (PyObject_GetBuffer(layout, &view, PyBUF_SIMPLE)) return NULL;
    Known *known = calloc((size_t)PyDict_Size(programs) + 1, sizeof *known);
    *count = 0;
    *slots = 0;
    while (known && PyDict_Next(programs, &at, &key, &value)) {
        Known *each = &known[(*count)++];
        each->id = PyLong_AsLongLong(key);
        each->program = (const Program *)value;
        bool is_program = (each->id != -1 || !PyErr_Occurred()) && Py_TYPE(value) == state->program_type;
        if (!is_program || each->program->column_count * (Py_ssize_t)12 != view.len ||
            memcmp(each->program->layout, view.buf, (size_t)view.len)) {
            if (!PyErr_Occurred()) PyErr_SetString(PyExc_ValueError, "a program is for another layout");
            free(known);
            known = NULL;
        } else if (each->program->slots > *slots) {
            *slots = each->program->slots;
        }
    }
    if (!known && !PyErr_Occurred()) PyErr_NoMemory();
    PyBuffer_Release(&view);
    return known;
}

static void raise_failure(int failure) {
    if (failure == NO_MEMORY)
        PyErr_NoMemory();
    else if (failure == TOO_LARGE)
        PyErr_SetString(PyExc_OverflowError, "the columns of these values are too large");
    else
        PyErr_SetString(PyExc_ValueError, "the program or the column is inconsistent");
}

/* decode(layout, programs, column, assigned, max_bytes): see plain.decode. */
PyObject *py_decode(PyObject *module, PyObject *args) {
    PyObject *layout, *programs, *raw, *assigned, *made = NULL, *bad = NULL, *copy;
    Py_ssize_t max_bytes, count = 0, broken_count = 0;
    int32_t slots;
    Values values;
    Machine machine;
    Growing list = {0};
    memset(&machine, 0, sizeof machine);
    if (!PyArg_ParseTuple(args, "OOOOn:decode", &layout, &programs, &raw, &assigned, &max_bytes)) return NULL;
    if (!(copy = PyDict_Check(programs) ? PyDict_Copy(programs) : Py_NewRef(programs))) return NULL;
    Known *known = open_programs(state_of(module), copy, layout, &count, &slots);
    if (!known || !open_values(raw, assigned, &values)) {
        free(known);
        Py_DECREF(copy);
        return NULL;
    }
    machine.slots = calloc((size_t)slots + 1, sizeof(Slot));
    if (machine.slots && open_columns(layout, (size_t)(max_bytes < 0 ? 0 : max_bytes), &machine.columns)) {
        bool is_done;
        reserve_columns(&machine.columns, values.length);
        if (values.data.len >= GIL_THRESHOLD) {
            Py_BEGIN_ALLOW_THREADS;
            is_done = decode_rows(&machine, &values, known, count, &list, &broken_count);
            Py_END_ALLOW_THREADS;
        } else {
            is_done = decode_rows(&machine, &values, known, count, &list, &broken_count);
        }
        if (!is_done)
            raise_failure(machine.columns.failure);
        else if ((made = take_columns(state_of(module), &machine.columns)))
            bad = list_of_broken(&list, broken_count);
    } else if (!machine.slots) {
        PyErr_NoMemory();
    }
    drop_scratch(&machine);
    drop_columns(&machine.columns);
    free(machine.slots);
    free(list.memory);
    free(known);
    close_values(&values);
    Py_DECREF(copy);
    PyObject *both = made && bad ? Py_BuildValue("(OO)", made, bad) : NULL;
    Py_XDECREF(made);
    Py_XDECREF(bad);
    return both;
}

/* ids(column, assigned): see plain.ids. */
PyObject *py_ids(PyObject *module, PyObject *args) {
    PyObject *raw, *assigned, *made;
    Values values;
    Machine machine;
    int64_t last = -1;
    (void)module;
    if (!PyArg_ParseTuple(args, "OO:ids", &raw, &assigned) || !open_values(raw, assigned, &values)) return NULL;
    made = PyDict_New();
    for (Py_ssize_t row = 0; made && row < values.length; row++) {
        Input value;
        int64_t id = 0;
        if (!value_at(&values, row, &value)) {
            PyErr_SetString(PyExc_ValueError, "strings lie outside of the data");
            Py_CLEAR(made);
            break;
        }
        machine.reason = SOUND;
        if (!value.at || assigned_at(&values, row) || !read_frame(&machine, &value, &id) || id == last) continue;
        last = id;
        PyObject *number = PyLong_FromLongLong(id);
        if (!number || PyDict_SetItem(made, number, Py_None)) Py_CLEAR(made);
        Py_XDECREF(number);
    }
    close_values(&values);
    PyObject *list = made ? PyDict_Keys(made) : NULL;
    Py_XDECREF(made);
    return list;
}
