/* What is done to the heap once, before its image is taken. */
#include "eryx.h"

#include <stdlib.h>

/* ---- objects whose references nobody counts
 *
 * A run looks at many objects of the image and changes few. Counting the references to them would write to their pages, which
 * would have to be copied for each guest and put back after each run. What the image holds is never freed anyway. */

enum { MAX_COUNTED = 8 };

/* Objects whose own referents are still to be visited. */
typedef struct {
    PyObject **objects;
    size_t count, room;
    PyTypeObject *code;
} Pending;

static void add(Pending *pending, PyObject *object) {
    if (pending->count == pending->room) {
        pending->room = 2 * pending->room + 1024;
        pending->objects = realloc(pending->objects, pending->room * sizeof *pending->objects);
        if (!pending->objects) abort();
    }
    pending->objects[pending->count++] = object;
}

static int visit(PyObject *object, void *argument) {
    Pending *pending = argument;
    if (object->refcount >= PY_IMMORTAL_MINIMUM_REFCOUNT) return 0;
    object->refcount = PY_IMMORTAL_INITIAL_REFCOUNT;
    /* The collector's list has the others. */
    if (!PyObject_GC_IsTracked(object)) add(pending, object);
    return 0;
}

/* Code objects are unknown to the collector. */
static void visit_code(PyObject *code, Pending *pending) {
    static const char *parts[] = {"co_consts",   "co_names",     "co_filename",      "co_name",
                                  "co_qualname", "co_linetable", "co_exceptiontable"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        PyObject *part = PyObject_GetAttrString(code, parts[i]);
        if (!part) abort();
        visit(part, pending);
        Py_DecRef(part);
    }
}

static void visit_referents(PyObject *object, Pending *pending) {
    if (object->type == pending->code) {
        visit_code(object, pending);
        return;
    }
    traverseproc traverse = (traverseproc)PyType_GetSlot(object->type, Py_tp_traverse);
    if (traverse) traverse(object, visit, pending);
}

/* immortalize(objects, CodeType, counted): `objects` are those that the collector knows. Makes them immortal, and all that they refer
 * to, but those of the list `counted`. Makes no Python object, which would leave a hole in the image's heap. Image time only:
 * refused once it was done. */
PyObject *eryx_immortalize(PyObject *module, PyObject *arguments) {
    static int done;
    PyObject *objects, *code, *counted;
    uint32_t counts[MAX_COUNTED];
    if (done++) abort();
    if (!PyArg_ParseTuple(arguments, "OOO", &objects, &code, &counted)) return NULL;
    Py_ssize_t number = PyList_Size(counted);
    if (number > MAX_COUNTED) abort();
    for (Py_ssize_t i = 0; i < number; i++) counts[i] = PyList_GetItem(counted, i)->refcount;
    Pending pending = {.code = (PyTypeObject *)code};
    Py_ssize_t size = PyList_Size(objects);
    for (Py_ssize_t i = 0; i < size; i++) {
        PyObject *object = PyList_GetItem(objects, i);
        if (object->refcount < PY_IMMORTAL_MINIMUM_REFCOUNT) object->refcount = PY_IMMORTAL_INITIAL_REFCOUNT;
        visit_referents(object, &pending);
        while (pending.count) visit_referents(pending.objects[--pending.count], &pending);
    }
    free(pending.objects);
    for (Py_ssize_t i = 0; i < number; i++) PyList_GetItem(counted, i)->refcount = counts[i];
    eryx_image_collected();
    return eryx_none();
}
