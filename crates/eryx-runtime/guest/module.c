/* The built-in module _eryx: what the driver (guest/python) needs from C. */
#include "eryx.h"

#include <errno.h>
#include <stdlib.h>

PyObject *eryx_driver_start, *eryx_driver_resume, *eryx_driver_interrupt, *eryx_driver_flush;
PyObject *eryx_sandbox_interrupt;

/* deliver(kind, value, root): encodes `value` and hands it to the host. TypeError names the path that cannot cross. */
static PyObject *deliver(PyObject *module, PyObject *arguments) {
    int kind;
    PyObject *value;
    const char *root;
    if (!PyArg_ParseTuple(arguments, "iOs", &kind, &value, &root)) return NULL;
    size_t size;
    uint8_t *data = eryx_encode(value, root, &size);
    if (!data) return NULL;
    eryx_host_deliver(kind, data, size);
    free(data);
    PyObject *none = Py_GetConstantBorrowed(Py_CONSTANT_NONE);
    Py_IncRef(none);
    return none;
}

/* wait(nanoseconds): blocks inside this call; for a loop that is run from synchronous code. */
static PyObject *wait_for_host(PyObject *module, PyObject *arguments) {
    long long nanoseconds;
    if (!PyArg_ParseTuple(arguments, "L", &nanoseconds)) return NULL;
    return PyLong_FromLong(eryx_host_wait(nanoseconds));
}

/* set_driver(start, resume, interrupt, flush): the driver's entry points. Refused once they are set. */
static PyObject *set_driver(PyObject *module, PyObject *arguments) {
    if (eryx_driver_start) {
        PyObject *runtime_error = PyErr_NewException("_eryx.error", NULL, NULL);
        PyErr_SetString(runtime_error, "the driver is set already");
        return NULL;
    }
    PyObject **functions[] = {&eryx_driver_start, &eryx_driver_resume, &eryx_driver_interrupt, &eryx_driver_flush};
    if (!PyArg_ParseTuple(arguments, "OOOO", functions[0], functions[1], functions[2], functions[3])) return NULL;
    for (int i = 0; i < 4; i++) Py_IncRef(*functions[i]);
    PyObject *none = Py_GetConstantBorrowed(Py_CONSTANT_NONE);
    Py_IncRef(none);
    return none;
}

/* interrupt(signum, frame): the handler of ERYX_SIGNAL. In C, so that it adds no frame to a traceback. */
static PyObject *interrupt(PyObject *module, PyObject *arguments) {
    PyErr_SetNone(eryx_sandbox_interrupt);
    return NULL;
}

static PyMethodDef methods[] = {
    {"deliver", deliver, METH_VARARGS, NULL},
    {"wait", wait_for_host, METH_VARARGS, NULL},
    {"set_driver", set_driver, METH_VARARGS, NULL},
    {"interrupt", interrupt, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};
static PyModuleDef definition = {.base = {1, NULL}, .name = "_eryx", .size = -1, .methods = methods};

PyObject *eryx_module_init(void) {
    PyObject *module = PyModule_Create2(&definition, PYTHON_API_VERSION);
    PyObject *builtins = PyImport_ImportModule("builtins");
    if (!module || !builtins || eryx_value_init()) return NULL;
    PyObject *base = PyObject_GetAttrString(builtins, "BaseException");
    Py_DecRef(builtins);
    if (!base) return NULL;
    eryx_sandbox_interrupt = PyErr_NewException("_eryx.SandboxInterrupt", base, NULL);
    Py_DecRef(base);
    if (!eryx_sandbox_interrupt || PyModule_AddObjectRef(module, "SandboxInterrupt", eryx_sandbox_interrupt)) return NULL;
    if (PyModule_AddIntConstant(module, "SIGNAL", ERYX_SIGNAL)) return NULL;
    return module;
}
