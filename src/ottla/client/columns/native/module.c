/* `ottla.client.columns._columns`: what `plain` does, compiled. */
#include "columns.h"

static PyMethodDef methods[] = {
    {"allocate", py_allocate, METH_VARARGS, "See plain.allocate."},
    {"concat", py_concat, METH_VARARGS, "See plain.concat."},
    {"decode", py_decode, METH_VARARGS, "See plain.decode."},
    {"last_batch", py_last_batch, METH_O, "See plain.last_batch."},
    {"records", py_records, METH_VARARGS, "See plain.records."},
    {"strings", py_strings, METH_VARARGS, "See plain.strings."},
    {"seal", py_seal, METH_VARARGS, "See plain.seal."},
    {"split", py_split, METH_VARARGS, "See plain.split."},
    {"join", py_join, METH_VARARGS, "See plain.join."},
    {"crc32c", py_crc32c, METH_VARARGS, "crc32c(data, hardware=True): the CRC-32C of data."},
    {"hash_key", py_hash_key, METH_VARARGS, "See plain.hash_key."},
    {"hash_keys", py_hash_keys, METH_VARARGS, "See plain.hash_keys."},
    {"group_rows", py_group_rows, METH_VARARGS, "See plain.group_rows."},
    {NULL, NULL, 0, NULL},
};

static int execute(PyObject *module) {
    State *state = state_of(module);
    init_checksums();
    state->buffer_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &buffer_spec, NULL);
    state->records_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &records_spec, NULL);
    state->builder_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &builder_spec, NULL);
    state->sink_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &sink_spec, NULL);
    if (!state->buffer_type || !state->records_type || !state->builder_type || !state->sink_type) return -1;
    if (PyModule_AddType(module, state->builder_type) || PyModule_AddType(module, state->sink_type)) return -1;
    return PyModule_AddStringConstant(module, "NAME", "compiled");
}

static int traverse(PyObject *module, visitproc visit, void *arg) {
    State *state = state_of(module);
    Py_VISIT(state->buffer_type);
    Py_VISIT(state->records_type);
    Py_VISIT(state->builder_type);
    Py_VISIT(state->sink_type);
    return 0;
}

static int clear(PyObject *module) {
    State *state = state_of(module);
    Py_CLEAR(state->buffer_type);
    Py_CLEAR(state->records_type);
    Py_CLEAR(state->builder_type);
    Py_CLEAR(state->sink_type);
    return 0;
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, execute}, {0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_columns",
    .m_doc = "Record batches to columns and back, compiled.",
    .m_size = sizeof(State),
    .m_methods = methods,
    .m_slots = slots,
    .m_traverse = traverse,
    .m_clear = clear,
};

PyMODINIT_FUNC PyInit__columns(void) { return PyModuleDef_Init(&definition); }
