/* The part of CPython's C API that the guest uses.
 *
 * libpython is merged as a finished wasm module, and only functions cross the merge: its data symbols (PyExc_*,
 * Py_None, type objects) cannot be named here. Constants come from Py_GetConstantBorrowed, classes from imports.
 * Layouts are those of CPython 3.14 for wasm32. */
#ifndef ERYX_PYTHON_API_H
#define ERYX_PYTHON_API_H

#include <stddef.h>
#include <stdint.h>

typedef intptr_t Py_ssize_t;
typedef struct PyTypeObject PyTypeObject;
typedef struct PyObject {
    uint32_t refcount;
    PyTypeObject *type;
} PyObject;
typedef PyObject *(*PyCFunction)(PyObject *, PyObject *);
typedef struct PyMethodDef {
    const char *name;
    PyCFunction function;
    int flags;
    const char *doc;
} PyMethodDef;
typedef struct PyModuleDef {
    PyObject base;
    PyObject *(*init)(void);
    Py_ssize_t index;
    PyObject *copy;
    const char *name;
    const char *doc;
    Py_ssize_t size;
    PyMethodDef *methods;
    void *slots, *traverse, *clear, *free;
} PyModuleDef;
typedef struct PyInitConfig PyInitConfig;

enum { METH_VARARGS = 0x0001, METH_NOARGS = 0x0004, METH_O = 0x0008, METH_FASTCALL = 0x0080 };
enum { Py_CONSTANT_NONE, Py_CONSTANT_FALSE, Py_CONSTANT_TRUE, Py_CONSTANT_NOT_IMPLEMENTED = 4 };
enum { PYTHON_API_VERSION = 1013 };
/* References are not counted from the first value on; objects start far above it, so that strays do not reach it. */
#define PY_IMMORTAL_MINIMUM_REFCOUNT (1u << 30)
#define PY_IMMORTAL_INITIAL_REFCOUNT (5u << 28)

/* Bits of PyType_GetFlags(). */
#define TPFLAGS_LONG (1ul << 24)
#define TPFLAGS_LIST (1ul << 25)
#define TPFLAGS_TUPLE (1ul << 26)
#define TPFLAGS_BYTES (1ul << 27)
#define TPFLAGS_STR (1ul << 28)
#define TPFLAGS_DICT (1ul << 29)

PyInitConfig *PyInitConfig_Create(void);
void PyInitConfig_Free(PyInitConfig *);
int PyInitConfig_GetError(PyInitConfig *, const char **message);
int PyInitConfig_SetInt(PyInitConfig *, const char *name, int64_t value);
int PyInitConfig_SetStr(PyInitConfig *, const char *name, const char *value);
int PyInitConfig_SetStrList(PyInitConfig *, const char *name, size_t length, char *const *items);
int Py_InitializeFromInitConfig(PyInitConfig *);

void *PyInterpreterState_Get(void);

int PyImport_AppendInittab(const char *name, PyObject *(*init)(void));
PyObject *PyImport_ImportModule(const char *name);
PyObject *PyModule_Create2(PyModuleDef *, int api_version);
int PyModule_AddObjectRef(PyObject *module, const char *name, PyObject *value);
int PyModule_AddIntConstant(PyObject *module, const char *name, long value);

enum { Py_nb_or = 31, Py_tp_traverse = 71, Py_tp_finalize = 80 };
typedef int (*visitproc)(PyObject *, void *);
typedef int (*traverseproc)(PyObject *, visitproc, void *);
void *PyType_GetSlot(PyTypeObject *, int slot);
int PyObject_GC_IsTracked(PyObject *);
int PyObject_GC_IsFinalized(PyObject *);
void PyObject_CallFinalizer(PyObject *);
/* Until the function returns 0. It must not make Python objects. */
void PyUnstable_GC_VisitObjects(int (*)(PyObject *, void *), void *);
int PyGC_IsEnabled(void);
Py_ssize_t PyGC_Collect(void);
int Py_AddPendingCall(int (*function)(void *), void *argument);

void Py_IncRef(PyObject *);
void Py_DecRef(PyObject *);
PyObject *Py_GetConstantBorrowed(unsigned int);
PyObject *PyObject_Type(PyObject *);
PyObject *PyObject_GetAttr(PyObject *, PyObject *name);
PyObject *PyObject_GetAttrString(PyObject *, const char *);
PyObject *PyObject_GenericGetDict(PyObject *, void *);
PyObject *PyObject_CallMethod(PyObject *, const char *name, const char *format, ...);
PyObject *PyObject_CallOneArg(PyObject *callable, PyObject *argument);
PyObject *PyObject_Call(PyObject *callable, PyObject *positional, PyObject *named);
PyObject *PyObject_CallNoArgs(PyObject *callable);
PyObject *PyObject_Vectorcall(PyObject *callable, PyObject *const *arguments, size_t count, PyObject *names);
PyObject *PyObject_GetItem(PyObject *, PyObject *key);
PyObject *PyObject_GetIter(PyObject *);
PyObject *PyIter_Next(PyObject *);
unsigned long PyType_GetFlags(PyTypeObject *);
int PyType_IsSubtype(PyTypeObject *, PyTypeObject *);
PyObject *PyType_GetFullyQualifiedName(PyTypeObject *);

PyObject *PyErr_NewException(const char *name, PyObject *base, PyObject *dict);
PyObject *PyErr_Format(PyObject *type, const char *format, ...);
PyObject *PyErr_NoMemory(void);
PyObject *PyErr_Occurred(void);
void PyErr_SetNone(PyObject *type);
void PyErr_SetString(PyObject *type, const char *message);
void PyErr_Clear(void);
void PyErr_Print(void);
void PyErr_WriteUnraisable(PyObject *);
int PyErr_SetInterruptEx(int signal);
int PyErr_ExceptionMatches(PyObject *type);

int PyArg_ParseTuple(PyObject *, const char *format, ...);
PyObject *PyLong_FromLong(long);
PyObject *PyLong_FromLongLong(long long);
long PyLong_AsLong(PyObject *);
long long PyLong_AsLongLong(PyObject *);
long long PyLong_AsLongLongAndOverflow(PyObject *, int *overflow);
Py_ssize_t PyLong_AsNativeBytes(PyObject *, void *buffer, Py_ssize_t size, int flags);
PyObject *PyLong_FromNativeBytes(const void *buffer, size_t size, int flags);
PyObject *PyFloat_FromDouble(double);
double PyFloat_AsDouble(PyObject *);
PyObject *PyUnicode_FromString(const char *);
void PyUnicode_InternInPlace(PyObject **);
int PyUnicode_EqualToUTF8AndSize(PyObject *, const char *, Py_ssize_t);
PyObject *PyUnicode_DecodeUTF8(const char *, Py_ssize_t, const char *errors);
const char *PyUnicode_AsUTF8AndSize(PyObject *, Py_ssize_t *size);
PyObject *PyBytes_FromStringAndSize(const char *, Py_ssize_t);
int PyBytes_AsStringAndSize(PyObject *, char **buffer, Py_ssize_t *size);
PyObject *PyByteArray_FromStringAndSize(const char *, Py_ssize_t);
char *PyByteArray_AsString(PyObject *);
Py_ssize_t PyByteArray_Size(PyObject *);
PyObject *PyList_New(Py_ssize_t);
int PyList_SetItem(PyObject *, Py_ssize_t, PyObject *);
Py_ssize_t PyList_Size(PyObject *);
PyObject *PyList_GetItem(PyObject *, Py_ssize_t);
PyObject *PyTuple_New(Py_ssize_t);
Py_ssize_t PyTuple_Size(PyObject *);
PyObject *PyTuple_GetItem(PyObject *, Py_ssize_t);
PyObject *PyTuple_GetSlice(PyObject *, Py_ssize_t begin, Py_ssize_t end);
PyObject *PyDict_New(void);
int PyDict_SetItem(PyObject *, PyObject *key, PyObject *value);
PyObject *PyDict_GetItemWithError(PyObject *, PyObject *key);
Py_ssize_t PyDict_Size(PyObject *);
int PyDict_Next(PyObject *, Py_ssize_t *position, PyObject **key, PyObject **value);
int PyDict_AddWatcher(int (*)(int event, PyObject *dict, PyObject *key, PyObject *value));
int PyDict_Watch(int watcher, PyObject *dict);
int PyDict_Unwatch(int watcher, PyObject *dict);
PyObject *PySet_New(PyObject *);
PyObject *Py_BuildValue(const char *format, ...);
PyObject *PyFrozenSet_New(PyObject *);
Py_ssize_t PySet_Size(PyObject *);
int PyRun_SimpleStringFlags(const char *, void *flags);

#endif
