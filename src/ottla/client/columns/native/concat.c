/* Columns one after the other: what `plain.concat` says holds here. */
#include "columns.h"

/* Offsets as they come in, each list of them from 0 on, in as few bytes as the last one asks for. */
typedef struct {
    Growing memory;
    size_t count;
    int64_t end;
    bool is_wide;
} Offsets;

static bool begin_offsets(Offsets *offsets, size_t count, int64_t last) {
    offsets->is_wide = last > INT32_MAX;
    offsets->count = 1;
    offsets->end = 0;
    if (!reserve(&offsets->memory, (count + 1) * (offsets->is_wide ? 8 : 4))) {
        PyErr_NoMemory();
        return false;
    }
    memset(offsets->memory.memory, 0, offsets->is_wide ? 8 : 4);
    return true;
}

/* Those of `given` from `start` on, `length` items; false where they descend or leave 0 to `limit`. */
static bool add_offsets(Offsets *offsets, const Py_buffer *given, Py_ssize_t start, Py_ssize_t length, int64_t limit) {
    int64_t first = offset_at(given, start), before = first;
    int64_t shift = offsets->end - first;
    if (first < 0) return false;
    for (Py_ssize_t at = start + 1; at <= start + length; at++) {
        int64_t next = offset_at(given, at);
        if (UNLIKELY(next < before || next > limit)) return false;
        before = next;
        if (offsets->is_wide)
            ((int64_t *)offsets->memory.memory)[offsets->count++] = next + shift;
        else
            ((int32_t *)offsets->memory.memory)[offsets->count++] = (int32_t)(next + shift);
    }
    offsets->end = before + shift;
    return true;
}

static PyObject *take_offsets(State *state, Offsets *offsets) {
    return take(state, &offsets->memory, offsets->count, offsets->is_wide ? 'q' : 'i');
}

/* Where the strings of a column lie in its data, as far as that can be believed before each is looked at. */
static bool data_range(const Binary *binary, int64_t *first, int64_t *last) {
    *first = offset_at(&binary->offsets, binary->start);
    *last = offset_at(&binary->offsets, binary->start + binary->length);
    return *first >= 0 && *last >= *first && *last <= binary->data.len;
}

static void copy_validity(uint8_t *bits, size_t count, const Binary *binary) {
    if (!binary->validity.obj) return;
    const uint8_t *given = binary->validity.buf;
    for (Py_ssize_t row = 0; row < binary->length; row++, count++) {
        Py_ssize_t at = binary->start + row;
        if (!(given[at >> 3] >> (at & 7) & 1)) bits[count >> 3] &= (uint8_t) ~(1 << (count & 7));
    }
}

/* What a `RawBinary` is, of `parts` columns that lie `stride` bytes apart. */
static PyObject *concat_binary(State *state, const Binary *first, Py_ssize_t parts, size_t stride) {
    Offsets offsets = {0};
    Growing data = {0}, validity = {0};
    PyObject *taken[3] = {0}, *result = NULL;
    size_t rows = 0, size = 0;
    bool has_validity = false;
    const Binary *part;
    int64_t begin, end;
#define EACH_PART (Py_ssize_t i = 0; i < parts && (part = (const Binary *)((const char *)first + (size_t)i * stride)); i++)
    for EACH_PART {
        if (!data_range(part, &begin, &end)) return outside();
        rows += (size_t)part->length;
        size += (size_t)(end - begin);
        has_validity |= part->validity.obj != NULL;
    }
    if (!begin_offsets(&offsets, rows, (int64_t)size) || !reserve(&data, size + 1) ||
        (has_validity && !reserve(&validity, rows / 8 + 1))) {
        PyErr_NoMemory();
        goto done;
    }
    if (has_validity) memset(validity.memory, 255, rows / 8 + 1);
    rows = size = 0;
    for EACH_PART {
        data_range(part, &begin, &end);
        if (!add_offsets(&offsets, &part->offsets, part->start, part->length, end)) {
            outside();
            goto done;
        }
        if (end > begin) memcpy(data.memory + size, (const uint8_t *)part->data.buf + begin, (size_t)(end - begin));
        if (has_validity) copy_validity(validity.memory, rows, part);
        rows += (size_t)part->length;
        size += (size_t)(end - begin);
    }
#undef EACH_PART
    if (!(taken[0] = take_offsets(state, &offsets)) || !(taken[1] = take(state, &data, size, 'B'))) goto done;
    taken[2] = has_validity ? take(state, &validity, (rows + 7) / 8, 'B') : Py_NewRef(Py_None);
    if (taken[2]) result = Py_BuildValue("(OOOnn)", taken[0], taken[1], taken[2], (Py_ssize_t)0, (Py_ssize_t)rows);
done:
    for (int i = 0; i < 3; i++) Py_XDECREF(taken[i]);
    drop(&offsets.memory);
    drop(&data);
    drop(&validity);
    return result;
}

/* What a `RawHeaders` is. Names and values are cut down to what the rows have. */
static PyObject *concat_headers(State *state, Rows *parts, Py_ssize_t count) {
    Offsets offsets = {0};
    PyObject *taken[3] = {0}, *result = NULL;
    size_t rows = 0;
    int64_t entries = 0, first, last;
    for (Py_ssize_t i = 0; i < count; i++) {
        Headers *headers = &parts[i].headers;
        first = offset_at(&headers->offsets, headers->start);
        last = offset_at(&headers->offsets, headers->start + headers->length);
        if (first < 0 || last < first || last > headers->names.length) return outside();
        rows += (size_t)headers->length;
        entries += last - first;
    }
    if (!begin_offsets(&offsets, rows, entries)) return NULL;
    for (Py_ssize_t i = 0; i < count; i++) {
        Headers *headers = &parts[i].headers;
        first = offset_at(&headers->offsets, headers->start);
        last = offset_at(&headers->offsets, headers->start + headers->length);
        if (!add_offsets(&offsets, &headers->offsets, headers->start, headers->length, last)) {
            outside();
            goto done;
        }
        headers->names.start += (Py_ssize_t)first;
        headers->values.start += (Py_ssize_t)first;
        headers->names.length = headers->values.length = (Py_ssize_t)(last - first);
    }
    if ((taken[0] = take_offsets(state, &offsets)) &&
        (taken[1] = concat_binary(state, &parts->headers.names, count, sizeof *parts)) &&
        (taken[2] = concat_binary(state, &parts->headers.values, count, sizeof *parts)))
        result = Py_BuildValue("(OOOnn)", taken[0], taken[1], taken[2], (Py_ssize_t)0, (Py_ssize_t)rows);
done:
    for (int i = 0; i < 3; i++) Py_XDECREF(taken[i]);
    drop(&offsets.memory);
    return result;
}

static PyObject *concat_numbers(State *state, const Rows *parts, Py_ssize_t count, size_t member, char format) {
    Growing numbers = {0};
    size_t size = 0;
#define MEMBER(i) ((const Py_buffer *)((const char *)(parts + (i)) + member))
    for (Py_ssize_t i = 0; i < count; i++) size += (size_t)MEMBER(i)->len;
    if (!reserve(&numbers, size + 1)) return PyErr_NoMemory();
    size = 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        if (MEMBER(i)->len) memcpy(numbers.memory + size, MEMBER(i)->buf, (size_t)MEMBER(i)->len);
        size += (size_t)MEMBER(i)->len;
    }
#undef MEMBER
    PyObject *taken = take(state, &numbers, size / (format == 'q' ? 8 : format == 'i' ? 4 : 1), format);
    drop(&numbers);
    return taken;
}

/* concat(parts): at least one. */
PyObject *py_concat(PyObject *module, PyObject *args) {
    PyObject *list, *taken[7] = {0}, *result = NULL;
    State *state = state_of(module);
    if (!PyArg_ParseTuple(args, "O!:concat", &PyList_Type, &list)) return NULL;
    Py_ssize_t count = PyList_Size(list), opened = 0;
    if (count < 1) {
        PyErr_SetString(PyExc_ValueError, "there is nothing to put together");
        return NULL;
    }
    Rows *parts = PyMem_Calloc((size_t)count, sizeof *parts);
    if (!parts) return PyErr_NoMemory();
    for (; opened < count; opened++) {
        PyObject *raw = PyList_GetItem(list, opened);
        if (!raw || !open_rows(raw, &parts[opened])) goto done;
    }
    if ((taken[0] = concat_numbers(state, parts, count, offsetof(Rows, partition), 'i')) &&
        (taken[1] = concat_numbers(state, parts, count, offsetof(Rows, offset), 'q')) &&
        (taken[2] = concat_numbers(state, parts, count, offsetof(Rows, timestamp), 'q')) &&
        (taken[3] = concat_numbers(state, parts, count, offsetof(Rows, kind), 'b')) &&
        (taken[4] = concat_binary(state, &parts->key, count, sizeof *parts)) &&
        (taken[5] = concat_binary(state, &parts->value, count, sizeof *parts)) &&
        (taken[6] = concat_headers(state, parts, count)))
        result = PyTuple_Pack(7, taken[0], taken[1], taken[2], taken[3], taken[4], taken[5], taken[6]);
done:
    for (int i = 0; i < 7; i++) Py_XDECREF(taken[i]);
    while (opened) close_rows(&parts[--opened]);
    PyMem_Free(parts);
    return result;
}
