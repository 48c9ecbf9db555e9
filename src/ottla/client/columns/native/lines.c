/* Text to columns and back: what is between delimiters. */
#include "columns.h"

/* The next delimiter from `at` on; `end` where there is none. */
static const uint8_t *find(const uint8_t *at, const uint8_t *end, const uint8_t *delimiter, size_t size) {
    while ((size_t)(end - at) >= size) {
        const uint8_t *found = memchr(at, delimiter[0], (size_t)(end - at) - size + 1);
        if (!found) break;
        if (size == 1 || !memcmp(found, delimiter, size)) return found;
        at = found + 1;
    }
    return end;
}

/* split(data, delimiter): a RawBinary of the parts, and how long the longest is. */
PyObject *py_split(PyObject *module, PyObject *args) {
    Py_buffer data, delimiter;
    Growing offsets = {0}, parts = {0};
    PyObject *taken[2] = {0}, *result = NULL;
    State *state = state_of(module);
    if (!PyArg_ParseTuple(args, "y*y*:split", &data, &delimiter)) return NULL;
    if (!delimiter.len || data.len > INT32_MAX) {
        PyErr_SetString(PyExc_ValueError, delimiter.len ? "too much to split at once" : "empty separator");
        goto done;
    }
    size_t size = (size_t)delimiter.len, count = 0, longest = 0, used = 0;
    const uint8_t *at = data.buf, *end = at + data.len;
    if (!reserve(&parts, (size_t)data.len + 1) || !reserve(&offsets, (size_t)data.len / 4 + 64)) {
        PyErr_NoMemory();
        goto done;
    }
    for (bool is_last = false; !is_last; count++) {
        const uint8_t *stop = data.len ? find(at, end, delimiter.buf, size) : end;
        size_t length = (size_t)(stop - at);
        is_last = stop == end;
        if (UNLIKELY(!grow(&offsets, (count + 2) * 4))) {
            PyErr_NoMemory();
            goto done;
        }
        ((int32_t *)offsets.memory)[count] = (int32_t)used;
        if (length) memcpy(parts.memory + used, at, length);
        used += length;
        if (length > longest) longest = length;
        at = is_last ? end : stop + size;
    }
    ((int32_t *)offsets.memory)[count] = (int32_t)used;
    if ((taken[0] = take(state, &offsets, count + 1, 'i')) && (taken[1] = take(state, &parts, used, 'B')))
        result = Py_BuildValue("(OOOnn)n", taken[0], taken[1], Py_None, (Py_ssize_t)0, (Py_ssize_t)count, (Py_ssize_t)longest);
done:
    for (int i = 0; i < 2; i++) Py_XDECREF(taken[i]);
    drop(&offsets);
    drop(&parts);
    PyBuffer_Release(&data);
    PyBuffer_Release(&delimiter);
    return result;
}

/* join(column, delimiter, null): each of the byte strings, and a delimiter behind it; how many are inside of them. */
PyObject *py_join(PyObject *module, PyObject *args) {
    PyObject *raw, *joined = NULL;
    Py_ssize_t inside = 0;
    Py_buffer delimiter, null;
    Binary column;
    String string;
    (void)module;
    if (!PyArg_ParseTuple(args, "Oy*y*:join", &raw, &delimiter, &null)) return NULL;
    if (!open_binary(raw, &column)) goto done;
    size_t size = (size_t)delimiter.len * (size_t)column.length;
    for (Py_ssize_t row = 0; row < column.length; row++) {
        if (!string_at(&column, row, &string)) {
            outside();
            goto opened;
        }
        /* Strings may lie over one another, so the sum is bounded by nothing that is there. */
        if (__builtin_add_overflow(size, string.data ? string.size : (size_t)null.len, &size) || size > PY_SSIZE_T_MAX) {
            PyErr_NoMemory();
            goto opened;
        }
    }
    joined = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size);
    if (!joined) goto opened;
    uint8_t *out = (uint8_t *)PyBytes_AsString(joined);
    for (Py_ssize_t row = 0; row < column.length; row++) {
        string_at(&column, row, &string);
        if (!string.data) string = (String){null.buf, (size_t)null.len};
        const uint8_t *end = string.data + string.size, *at = string.data;
        while (delimiter.len && (at = find(at, end, delimiter.buf, (size_t)delimiter.len)) != end) {
            at += delimiter.len;
            inside++;
        }
        if (string.size) memcpy(out, string.data, string.size);
        out += string.size;
        if (delimiter.len == 1)
            *out++ = *(const uint8_t *)delimiter.buf;
        else if (delimiter.len) {
            memcpy(out, delimiter.buf, (size_t)delimiter.len);
            out += delimiter.len;
        }
    }
opened:
    close_binary(&column);
done:
    PyBuffer_Release(&delimiter);
    PyBuffer_Release(&null);
    return joined ? Py_BuildValue("Nn", joined, inside) : NULL;
}
