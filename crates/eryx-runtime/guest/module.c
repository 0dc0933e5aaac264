/* The built-in module _eryx: what the driver (guest/python) needs from C. */
#include "eryx.h"
#include "memory.h"

#include <errno.h>
#include <stdlib.h>

PyObject *eryx_driver_start, *eryx_driver_resume, *eryx_driver_interrupt, *eryx_driver_flush;
PyObject *eryx_sandbox_interrupt;

PyObject *eryx_none(void) {
    PyObject *object = Py_GetConstantBorrowed(Py_CONSTANT_NONE);
    Py_IncRef(object);
    return object;
}

PyObject *eryx_bool(int value) {
    PyObject *object = Py_GetConstantBorrowed(value ? Py_CONSTANT_TRUE : Py_CONSTANT_FALSE);
    Py_IncRef(object);
    return object;
}

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
    return eryx_none();
}

/* call(callback, name, positional, named): the number of the call, or a negative reason why it was refused. */
static PyObject *call(PyObject *module, PyObject *arguments) {
    int callback;
    const char *name;
    PyObject *positional, *named;
    if (!PyArg_ParseTuple(arguments, "isOO", &callback, &name, &positional, &named)) return NULL;
    size_t size;
    uint8_t *data = eryx_encode_call(name, positional, named, &size);
    if (!data) return NULL;
    int64_t number = eryx_host_call((uint32_t)callback, data, (uint32_t)size);
    free(data);
    return PyLong_FromLongLong(number);
}

/* cancel(call) */
static PyObject *cancel(PyObject *module, PyObject *number) {
    long long call = PyLong_AsLongLong(number);
    if (call == -1 && PyErr_Occurred()) return NULL;
    eryx_host_cancel(call);
    return eryx_none();
}

enum { SMALL_ANSWER = 4096, NO_MEMORY = -1 };

static PyObject *read_answer(uint32_t size) {
    uint8_t small[SMALL_ANSWER], *data = size <= SMALL_ANSWER ? small : malloc(size);
    if (!data) return PyErr_NoMemory();
    eryx_host_read_answer(data);
    PyObject *value = eryx_decode(data, size);
    if (data != small) free(data);
    return value;
}

/* answer(): the next answer as (call, kind, value), or None. An answer that does not fit into memory has kind -1. */
static PyObject *answer(PyObject *module, PyObject *arguments) {
    EryxAnswer next;
    if (!eryx_host_next_answer(&next)) return eryx_none();
    int kind = (int)next.kind;
    PyObject *value = read_answer(next.size);
    if (!value) {
        PyErr_Clear();
        value = eryx_none();
        kind = NO_MEMORY;
    }
    return Py_BuildValue("(LiN)", (long long)next.call, kind, value);
}

/* trace(events) */
static PyObject *trace(PyObject *module, PyObject *events) {
    size_t size;
    uint8_t *data = eryx_encode(events, "trace", &size);
    if (!data) return NULL;
    eryx_host_trace(data, (uint32_t)size);
    free(data);
    return eryx_none();
}

/* encode(value): as bytes. For the image's preparation. */
static PyObject *encode(PyObject *module, PyObject *value) {
    size_t size;
    uint8_t *data = eryx_encode(value, "value", &size);
    if (!data) return NULL;
    PyObject *bytes = PyBytes_FromStringAndSize((const char *)data, (Py_ssize_t)size);
    free(data);
    return bytes;
}

/* decode(bytes) */
static PyObject *decode(PyObject *module, PyObject *bytes) {
    char *data;
    Py_ssize_t size;
    if (PyBytes_AsStringAndSize(bytes, &data, &size)) return NULL;
    return eryx_decode((const uint8_t *)data, (size_t)size);
}

/* wait(nanoseconds): blocks inside this call; for a loop that is run from synchronous code. */
static PyObject *wait_for_host(PyObject *module, PyObject *arguments) {
    long long nanoseconds;
    if (!PyArg_ParseTuple(arguments, "L", &nanoseconds)) return NULL;
    return PyLong_FromLong(eryx_host_wait(nanoseconds));
}

/* as_user(function, *arguments): calls it as code that leaves the memory reserve alone. */
static PyObject *as_user(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    if (count < 1) return PyErr_Format(eryx_type_error, "as_user() needs a function");
    int user = eryx_reserve_user(1);
    PyObject *result = PyObject_Vectorcall(arguments[0], arguments + 1, (size_t)count - 1, NULL);
    eryx_reserve_user(user);
    return result;
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
    return eryx_none();
}

/* interrupt(signum, frame): the handler of ERYX_SIGNAL. In C, so that it adds no frame to a traceback. */
static PyObject *interrupt(PyObject *module, PyObject *arguments) {
    PyErr_SetNone(eryx_sandbox_interrupt);
    return NULL;
}

static PyMethodDef methods[] = {
    {"deliver", deliver, METH_VARARGS, NULL},
    {"wait", wait_for_host, METH_VARARGS, NULL},
    {"call", call, METH_VARARGS, NULL},
    {"cancel", cancel, METH_O, NULL},
    {"answer", answer, METH_NOARGS, NULL},
    {"trace", trace, METH_O, NULL},
    {"encode", encode, METH_O, NULL},
    {"decode", decode, METH_O, NULL},
    {"set_driver", set_driver, METH_VARARGS, NULL},
    {"interrupt", interrupt, METH_VARARGS, NULL},
    {"begin", eryx_begin, METH_NOARGS, NULL},
    {"as_user", (PyCFunction)(void (*)(void))as_user, METH_FASTCALL, NULL},
    {"immortalize", eryx_immortalize, METH_VARARGS, NULL},
    {"mend_union", eryx_mend_union, METH_O, NULL},
    {"finalizable", eryx_finalizable, METH_NOARGS, NULL},
    {"finalize", eryx_finalize, METH_O, NULL},
    {"flush", eryx_flush_file, METH_O, NULL},
    {"finish", eryx_finish, METH_O, NULL},
    {"note_ends", eryx_note_ends, METH_VARARGS, NULL},
    {"has_exit_functions", eryx_has_exit_functions, METH_NOARGS, NULL},
    {"note_streams", eryx_note_streams, METH_VARARGS, NULL},
    {"streams_are_sound", eryx_streams_are_sound, METH_NOARGS, NULL},
    {"set_generator", eryx_set_generator, METH_O, NULL},
    {"reseed", eryx_reseed, METH_O, NULL},
    {"mark_image", eryx_mark_image, METH_NOARGS, NULL},
    {"watch", eryx_watch, METH_VARARGS, NULL},
    {"unwatch", eryx_unwatch, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};
static PyModuleDef definition = {.base = {1, NULL}, .name = "_eryx", .size = -1, .methods = methods};

PyObject *eryx_module_init(void) {
    PyObject *module = PyModule_Create2(&definition, PYTHON_API_VERSION);
    PyObject *builtins = PyImport_ImportModule("builtins");
    if (!module || !builtins || eryx_value_init() || eryx_watch_init()) return NULL;
    PyObject *base = PyObject_GetAttrString(builtins, "BaseException");
    Py_DecRef(builtins);
    if (!base) return NULL;
    eryx_sandbox_interrupt = PyErr_NewException("_eryx.SandboxInterrupt", base, NULL);
    Py_DecRef(base);
    if (!eryx_sandbox_interrupt || PyModule_AddObjectRef(module, "SandboxInterrupt", eryx_sandbox_interrupt)) return NULL;
    if (PyModule_AddIntConstant(module, "SIGNAL", ERYX_SIGNAL)) return NULL;
    return module;
}
