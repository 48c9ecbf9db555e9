/* Programs as Python gives them. Nothing in them is believed: what runs points into its own words, constants, columns. */
#include "programs.h"

#include <stdlib.h>

/* What follows an instruction's code. Columns: B bool, 4 and 8 that many bytes, F fixed, D a decimal, T binary, L list,
 * M list of structs of two, S struct, U struct of three of 4 bytes, N any. Others: o an instruction, c a constant,
 * d a constant or -1, i any number, f a field of a message, p a number and a constant; [ a count, then so many. */
static const char *const operands[OP_COUNT] = {
    [OP_FAIL] = "i", [OP_NULL] = "N", [OP_BOOLEAN] = "B", [OP_INT] = "4", [OP_INT_LONG] = "8", [OP_INT_FLOAT] = "4",
    [OP_INT_DOUBLE] = "8", [OP_LONG] = "8", [OP_LONG_FLOAT] = "4", [OP_LONG_DOUBLE] = "8", [OP_FLOAT] = "4",
    [OP_FLOAT_DOUBLE] = "8", [OP_DOUBLE] = "8", [OP_TIME_MILLIS] = "4", [OP_TIME_MICROS] = "8", [OP_BYTES] = "T",
    [OP_STRING] = "T", [OP_FIXED] = "Fi", [OP_ENUM] = "Td[d", [OP_DECIMAL] = "Dic", [OP_UUID] = "T",
    [OP_DURATION] = "U", [OP_ARRAY] = "Lo", [OP_MAP] = "Mo", [OP_UNION] = "[o", [OP_MEMBER] = "Sio",
    [OP_RECORD] = "S[o", [OP_DEFAULT] = "oc", [OP_RAW] = "To",
    [OP_MESSAGE] = "Si[f", [OP_VARINT32] = "4", [OP_VARINT64] = "8", [OP_ZIGZAG32] = "4", [OP_ZIGZAG64] = "8",
    [OP_VARINT_BOOL] = "B", [OP_FIXED32] = "4", [OP_FIXED64] = "8", [OP_NUMBERED] = "Ti[p", [OP_TEXT] = "T",
    [OP_BLOB] = "T", [OP_INSTANT] = "8ii", [OP_WRAPPER] = "No",
};

enum { FIELD_WORDS = 6 };

typedef struct {
    const Program *program;
    uint8_t *starts; /* true where an instruction begins */
    int32_t at;
    bool is_second; /* time: the starts are known */
} Check;

static const int32_t *column_at(const Program *program, int32_t column) { return program->layout + column * 3; }

static bool is_fixed(const Program *program, int32_t column, int32_t width) {
    const int32_t *words = column_at(program, column);
    return words[0] == COLUMN_FIXED && (width < 0 || words[1] == width);
}

static int32_t children(const Program *program, int32_t column) {
    int32_t count = 0;
    for (int32_t child = column + 1; child < column_at(program, column)[2]; child = column_at(program, child)[2])
        count++;
    return count;
}

static bool is_column(const Program *program, int32_t column, char kind, int32_t op) {
    if (column == -1) return op < OP_MESSAGE;
    if (column < 0 || column >= program->column_count) return false;
    const int32_t *words = column_at(program, column);
    switch (kind) {
    case 'B': return words[0] == COLUMN_BOOL;
    case '4': return is_fixed(program, column, 4);
    case '8': return is_fixed(program, column, 8);
    case 'F': return is_fixed(program, column, -1);
    case 'D': return is_fixed(program, column, 16) || is_fixed(program, column, 32);
    case 'T': return words[0] == COLUMN_BINARY;
    case 'L': return words[0] == COLUMN_LIST;
    case 'M':
        return words[0] == COLUMN_LIST && words[3] == COLUMN_STRUCT && children(program, column + 1) == 2 &&
               column_at(program, column + 2)[0] == COLUMN_BINARY;
    case 'S': return words[0] == COLUMN_STRUCT;
    case 'U':
        return words[0] == COLUMN_STRUCT && words[2] == column + 4 && is_fixed(program, column + 1, 4) &&
               is_fixed(program, column + 2, 4) && is_fixed(program, column + 3, 4);
    }
    return kind == 'N';
}

static bool is_op(const Check *check, int32_t op) {
    return op >= 0 && op < check->program->count && (!check->is_second || check->starts[op]);
}

static bool is_constant(const Program *program, int32_t constant, bool or_none) {
    return constant < program->constant_count && constant >= (or_none ? -1 : 0);
}

static bool check_field(const Check *check, int32_t op, int32_t index) {
    const Program *program = check->program;
    const int32_t *words = program->words + op + 4 + index * FIELD_WORDS;
    int32_t slot = program->words[op + 2];
    if (slot < 0 || words[4] < 0 || words[4] >= program->slots - slot) return false;
    if (words[0] <= 0 || (index && words[0] <= words[-FIELD_WORDS])) return false;
    if (words[1] < 0 || words[1] > 1 || words[2] < 0 || !is_op(check, words[3])) return false;
    if (check->is_second && program->words[words[3]] < OP_MESSAGE) return false;
    if (words[1] && !is_column(program, words[2], 'L', OP_MESSAGE)) return false;
    return is_column(program, words[2], 'N', OP_MESSAGE) && words[5] >= -3 &&
           is_constant(program, words[5] < -1 ? -1 : words[5], true) &&
           (words[5] < 0 || is_column(program, words[2], 'T', OP_MESSAGE));
}

/* One instruction, and past it. */
static bool check_op(Check *check) {
    const Program *program = check->program;
    int32_t op = check->at++, code = program->words[op], times = 1, left = program->count;
    if (code < 0 || code >= OP_COUNT) return false;
    check->starts[op] = 1;
    for (const char *kind = operands[code]; *kind; kind++) {
        if (*kind == '[') {
            if (check->at >= left) return false;
            times = program->words[check->at++];
            if (times < 0 || times > left) return false;
            continue;
        }
        int32_t size = *kind == 'f' ? FIELD_WORDS : *kind == 'p' ? 2 : 1;
        for (int32_t i = 0; i < times; i++, check->at += size) {
            if (check->at > left - size) return false;
            const int32_t *words = program->words + check->at;
            bool is_good = *kind == 'i' || (*kind == 'o' && is_op(check, *words)) ||
                           (*kind == 'c' && is_constant(program, *words, false)) ||
                           (*kind == 'd' && is_constant(program, *words, true)) ||
                           (*kind == 'f' && check_field(check, op, i)) ||
                           (*kind == 'p' && is_constant(program, words[1], false) && (!i || words[0] > words[-2])) ||
                           (!strchr("iocdfp", *kind) && is_column(program, *words, *kind, code));
            if (!is_good) return false;
        }
    }
    const int32_t *words = program->words + op;
    if (code == OP_FIXED) return words[2] >= 0 && (words[1] < 0 || is_fixed(program, words[1], words[2]));
    if (code == OP_MEMBER) return words[1] >= 0 && words[2] >= 0 && words[2] < children(program, words[1]);
    if (code == OP_DECIMAL) {
        int64_t size = program->ends[words[3] + 1] - program->ends[words[3]];
        return words[1] >= 0 && words[2] >= -1 && size == column_at(program, words[1])[1];
    }
    if (code == OP_INSTANT) return words[2] > 0 && words[2] <= 1000000000 && 1000000000 % words[2] == 0;
    return true;
}

static bool check_program(Program *program) {
    if (program->count < 1 || program->column_count < 1) return false;
    for (int32_t i = 0; i < program->column_count; i++) { /* `open_columns` looks closer */
        int32_t end = column_at(program, i)[2];
        if (end <= i || end > program->column_count) return false;
        if (column_at(program, i)[0] == COLUMN_LIST && end == i + 1) return false;
    }
    Check check = {program, calloc((size_t)program->count, 1), 0, false};
    bool is_good = check.starts;
    for (int time = 0; time < 2 && is_good; time++) {
        for (check.at = 0; check.at < program->count && is_good;) is_good = check_op(&check);
        check.is_second = true;
    }
    is_good = is_good && is_op(&check, program->entry);
    free(check.starts);
    return is_good;
}

/* -- From Python */

static int32_t *copy_words(PyObject *object, int32_t *count) {
    Py_buffer view;
    if (PyObject_GetBuffer(object, &view, PyBUF_SIMPLE)) return NULL;
    int32_t *words = NULL;
    if (view.len % 4 || view.len > 1 << 28) {
        PyErr_SetString(PyExc_ValueError, "words have four bytes each");
    } else {
        words = malloc((size_t)view.len + 1);
        if (words) {
            memcpy(words, view.buf, (size_t)view.len);
            *count = (int32_t)(view.len / 4);
        } else {
            PyErr_NoMemory();
        }
    }
    PyBuffer_Release(&view);
    return words;
}

static bool copy_constants(Program *program, PyObject *constants) {
    Py_ssize_t count = PyList_Check(constants) ? PyList_Size(constants) : -1;
    if (count < 0 || count > 1 << 24) {
        PyErr_SetString(PyExc_TypeError, "constants are a list");
        return false;
    }
    program->ends = calloc((size_t)count + 1, 8);
    program->constants = malloc(1);
    if (!program->ends || !program->constants) return PyErr_NoMemory() != NULL;
    for (Py_ssize_t i = 0; i < count; i++) {
        char *data;
        Py_ssize_t size;
        if (PyBytes_AsStringAndSize(PyList_GetItem(constants, i), &data, &size)) return false;
        size_t start = (size_t)program->ends[i];
        uint8_t *grown = realloc(program->constants, start + (size_t)size + 1);
        if (!grown) return PyErr_NoMemory() != NULL;
        program->constants = grown;
        memcpy(grown + start, data, (size_t)size);
        program->ends[i + 1] = (int64_t)(start + (size_t)size);
        program->constant_count = (int32_t)i + 1;
    }
    return true;
}

/* Program(words, entry, constants, layout, slots, indexes): see plain.Program. */
static PyObject *program_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    PyObject *words, *constants, *layout, *indexes;
    int entry, slots, columns = 0;
    if (kwargs && PyDict_Size(kwargs)) {
        PyErr_SetString(PyExc_TypeError, "Program takes no keywords");
        return NULL;
    }
    if (!PyArg_ParseTuple(args, "OiOOiO:Program", &words, &entry, &constants, &layout, &slots, &indexes)) return NULL;
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Program *program = (Program *)allocate(type, 0);
    if (!program) return NULL;
    program->index_count = -1;
    program->slots = slots;
    program->entry = entry;
    if (!(program->words = copy_words(words, &program->count)) || !copy_constants(program, constants) ||
        !(program->layout = copy_words(layout, &columns)) ||
        (indexes != Py_None && !(program->indexes = copy_words(indexes, &program->index_count))))
        goto failed;
    program->column_count = columns / 3;
    if (columns % 3 || slots < 0 || slots > 1 << 20 || !check_program(program)) {
        PyErr_SetString(PyExc_ValueError, "this is no program");
        goto failed;
    }
    return (PyObject *)program;
failed:
    Py_DECREF(program);
    return NULL;
}

static void program_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    Program *program = (Program *)self;
    free(program->words);
    free(program->constants);
    free(program->ends);
    free(program->indexes);
    free(program->layout);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(self);
    Py_DECREF(type);
}

static PyType_Slot program_slots[] = {
    {Py_tp_new, program_new},
    {Py_tp_dealloc, program_dealloc},
    {Py_tp_doc, "How values of one schema become columns. See plain.Program."},
    {0, NULL},
};

PyType_Spec program_spec = {
    .name = "ottla.client.values.programs._programs.Program",
    .basicsize = sizeof(Program),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = program_slots,
};
