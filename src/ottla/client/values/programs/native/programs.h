/* What the files of `_programs` know of one another. The stable ABI of Python 3.11 (buffers are part of it since). */
#ifndef OTTLA_PROGRAMS_H
#define OTTLA_PROGRAMS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

#define MAX_DEPTH 128           /* of programs and of columns; ops.MAX_DEPTH */
#define GIL_THRESHOLD (1 << 17) /* bytes of values from which on other threads run meanwhile */

typedef struct {
    PyTypeObject *buffer_type;
    PyTypeObject *program_type;
} State;

static inline State *state_of(PyObject *module) { return (State *)PyModule_GetState(module); }

/* The instructions, as `ops.Op` has and explains them. */
enum {
    OP_FAIL, OP_NULL, OP_BOOLEAN, OP_INT, OP_INT_LONG, OP_INT_FLOAT, OP_INT_DOUBLE, OP_LONG, OP_LONG_FLOAT,
    OP_LONG_DOUBLE, OP_FLOAT, OP_FLOAT_DOUBLE, OP_DOUBLE, OP_TIME_MILLIS, OP_TIME_MICROS, OP_BYTES, OP_STRING,
    OP_FIXED, OP_ENUM, OP_DECIMAL, OP_UUID, OP_DURATION, OP_ARRAY, OP_MAP, OP_UNION, OP_MEMBER, OP_RECORD,
    OP_DEFAULT, OP_RAW,
    OP_MESSAGE, OP_VARINT32, OP_VARINT64, OP_ZIGZAG32, OP_ZIGZAG64, OP_VARINT_BOOL, OP_FIXED32, OP_FIXED64,
    OP_NUMBERED, OP_TEXT, OP_BLOB, OP_INSTANT, OP_WRAPPER,
    OP_COUNT
};

/* Why a value is broken, as `ops.Reason` has it. */
enum {
    SOUND, SHORT_FRAME, NO_FRAME, UNKNOWN_ID, OTHER_MESSAGE, ENDS_EARLY, LEFT_OVER, BAD_NUMBER, BAD_LENGTH, BAD_TEXT,
    BAD_BRANCH, BAD_SYMBOL, OUT_OF_RANGE, TOO_DEEP, TOO_MUCH, BAD_TAG, FAILED,
    NO_MEMORY, TOO_LARGE, INCONSISTENT /* these end the whole batch */
};

/* columns.c: what values are decoded into. */

enum { COLUMN_NULL, COLUMN_BOOL, COLUMN_FIXED, COLUMN_BINARY, COLUMN_LIST, COLUMN_STRUCT, COLUMN_KINDS };

typedef struct {
    uint8_t *memory;
    size_t capacity; /* bytes */
} Growing;

typedef struct {
    int32_t kind, width, end; /* end: of the columns within this one, which follow it */
    int64_t length;
    bool has_nulls;
    Growing validity, offsets, data;
} Column;

typedef struct {
    Column *all;
    int32_t count;
    size_t memory_left;
    int failure; /* SOUND, NO_MEMORY, TOO_LARGE or INCONSISTENT */
} Columns;

/* Columns of a layout, three words (kind, width, end) each. False with an exception. */
bool open_columns(PyObject *layout, size_t max_bytes, Columns *columns);
void reserve_columns(Columns *columns, Py_ssize_t rows);
void drop_columns(Columns *columns);
PyObject *take_columns(State *state, Columns *columns);
/* All of these are false where `columns->failure` says why. */
bool append_null(Columns *columns, int32_t at);
bool append_zero(Columns *columns, int32_t at);
bool append_bool(Columns *columns, int32_t at, bool value);
bool append_bytes(Columns *columns, int32_t at, const uint8_t *data, size_t size);
bool append_list(Columns *columns, int32_t at);
bool append_struct(Columns *columns, int32_t at);
bool truncate_column(Columns *columns, int32_t at, int64_t length);
bool make_room(Columns *columns, Growing *growing, size_t size);
bool append_validity(Columns *columns, Column *column, bool is_valid);
extern PyType_Spec buffer_spec;

static inline bool room(Columns *columns, Growing *growing, size_t size) {
    return LIKELY(size <= growing->capacity) || make_room(columns, growing, size);
}

/* One more of a column of fixed width. */
static inline bool append_fixed(Columns *columns, int32_t at, const void *data, size_t width) {
    Column *column = &columns->all[at];
    size_t length = (size_t)column->length;
    if (!room(columns, &column->data, (length + 1) * width)) return false;
    memcpy(column->data.memory + length * width, data, width);
    if (UNLIKELY(column->has_nulls) && !append_validity(columns, column, true)) return false;
    column->length++;
    return true;
}

/* program.c: instructions, checked. */

typedef struct {
    PyObject_HEAD
    int32_t *words;
    int32_t count, entry, slots;
    uint8_t *constants;
    int64_t *ends; /* of constants; ends[0] is 0 */
    int32_t constant_count;
    int32_t *indexes; /* of a Protobuf message in its file; index_count is -1 for other formats */
    int32_t index_count;
    int32_t column_count;
    int32_t *layout;
} Program;

extern PyType_Spec program_spec;

/* machine.c, avro.c, protobuf.c: running them. */

typedef struct {
    const uint8_t *at, *end;
} Input;

typedef struct Scratch {
    struct Scratch *next;
    uint8_t bytes[];
} Scratch;

/* Where a field of a message was seen last. */
typedef struct {
    const uint8_t *at, *end;
    int32_t field; /* -1: nowhere */
    bool is_repeated;
} Slot;

typedef struct {
    Columns columns;
    const Program *program;
    const uint8_t *begin; /* of the value's payload */
    Slot *slots;
    Scratch *scratch;
    int64_t steps;
    int depth;
    int reason;
    int64_t detail;
} Machine;

bool run(Machine *machine, Input *input, int32_t op);
bool run_protobuf(Machine *machine, Input *input, int32_t op);
bool is_utf8(const uint8_t *data, size_t size);
PyObject *py_decode(PyObject *module, PyObject *args);
PyObject *py_ids(PyObject *module, PyObject *args);

/* The first reason is the one that is told. Returns false. */
static inline bool broken(Machine *machine, int reason, int64_t detail) {
    if (machine->reason == SOUND) {
        machine->reason = reason;
        machine->detail = detail;
    }
    return false;
}

static inline int64_t place(const Machine *machine, const Input *input) { return input->at - machine->begin; }

/* Up to ten bytes. */
static inline bool read_varint(Machine *machine, Input *input, uint64_t *number) {
    const uint8_t *p = input->at;
    if (LIKELY(p < input->end && *p < 128)) {
        *number = *p;
        input->at = p + 1;
        return true;
    }
    uint64_t value = 0;
    for (int shift = 0; shift < 70; shift += 7) {
        if (UNLIKELY(p == input->end)) return broken(machine, ENDS_EARLY, place(machine, input));
        uint64_t byte = *p++;
        if (UNLIKELY(shift == 63 && byte > 1)) break;
        value |= (byte & 127) << shift;
        if (byte < 128) {
            *number = value;
            input->at = p;
            return true;
        }
    }
    return broken(machine, BAD_NUMBER, place(machine, input));
}

static inline int64_t unzigzag(uint64_t number) { return (int64_t)(number >> 1 ^ (0 - (number & 1))); }

#endif
