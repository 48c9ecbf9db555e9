/* `ottla.client.values.programs._programs`: what `plain` does, compiled. */
#include "programs.h"

#include <stdlib.h>

static PyMethodDef methods[] = {
    {"decode", py_decode, METH_VARARGS, "See plain.decode."},
    {"ids", py_ids, METH_VARARGS, "See plain.ids."},
    {NULL, NULL, 0, NULL},
};

static int execute(PyObject *module) {
    State *state = state_of(module);
    state->buffer_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &buffer_spec, NULL);
    state->program_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &program_spec, NULL);
    if (!state->buffer_type || !state->program_type || PyModule_AddType(module, state->program_type)) return -1;
    return PyModule_AddStringConstant(module, "NAME", "compiled");
}

static int traverse(PyObject *module, visitproc visit, void *arg) {
    State *state = state_of(module);
    Py_VISIT(state->buffer_type);
    Py_VISIT(state->program_type);
    return 0;
}

static int clear(PyObject *module) {
    State *state = state_of(module);
    Py_CLEAR(state->buffer_type);
    Py_CLEAR(state->program_type);
    return 0;
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, execute}, {0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_programs",
    .m_doc = "Values of schemas to columns, compiled.",
    .m_size = sizeof(State),
    .m_methods = methods,
    .m_slots = slots,
    .m_traverse = traverse,
    .m_clear = clear,
};

PyMODINIT_FUNC PyInit__programs(void) { return PyModuleDef_Init(&definition); }
