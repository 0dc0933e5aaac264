/* typing.Union objects and strings: Union[int, str] | "X" is a union with a forward reference (upstream: gh-140348).
 *
 * CPython 3.14.0 refuses it, while Union[Union[int, str], "X"] gives just that. */
#include "eryx.h"

#include <stdlib.h>

typedef PyObject *(*binaryfunc)(PyObject *, PyObject *);

/* Words before tp_as_number in a type object, and before nb_or in what it points to. */
enum { TP_AS_NUMBER = 12, NB_OR = 15 };

static PyObject *union_type;
static binaryfunc stock_or;

static int is_string(PyObject *object) { return (PyType_GetFlags(object->type) & TPFLAGS_STR) != 0; }

static PyObject *union_or(PyObject *left, PyObject *right) {
    PyObject *not_implemented = Py_GetConstantBorrowed(Py_CONSTANT_NOT_IMPLEMENTED);
    PyObject *result = stock_or(left, right);
    if (result != not_implemented || (!is_string(left) && !is_string(right))) return result;
    PyObject *pair = Py_BuildValue("(OO)", left, right);
    result = pair ? PyObject_GetItem(union_type, pair) : NULL;
    if (pair) Py_DecRef(pair);
    return result;
}

/* mend_union(typing.Union). Image time only: refused once it was done. */
PyObject *eryx_mend_union(PyObject *module, PyObject *type) {
    if (union_type) abort();
    binaryfunc *slot = ((binaryfunc **)type)[TP_AS_NUMBER] + NB_OR;
    stock_or = *slot;
    if (PyType_GetSlot((PyTypeObject *)type, Py_nb_or) != (void *)stock_or) abort();
    Py_IncRef(type);
    union_type = type;
    *slot = union_or;
    return eryx_none();
}
