/* What code leaves behind when it ends: objects that want to be told, such as open files. Methods of _eryx. */
#include "eryx.h"

#include <stdlib.h>

/* The collector's first object that is the image's. Those after it were made before any run. */
static PyObject *first_of_image;

/* A few types and whether their objects have a finalizer: most objects are of a type that was met just before. */
enum { REMEMBERED = 64 };
typedef struct {
    PyTypeObject *types[REMEMBERED];
    char finalized[REMEMBERED];
    PyObject **objects;
    size_t count, room;
} Search;

static int has_finalizer(Search *search, PyTypeObject *type) {
    size_t place = ((uintptr_t)type >> 4) % REMEMBERED;
    if (search->types[place] != type) {
        search->types[place] = type;
        search->finalized[place] = PyType_GetSlot(type, Py_tp_finalize) != NULL;
    }
    return search->finalized[place];
}

/* Without memory the search ends early: what was found is still told. */
static int add(Search *search, PyObject *object) {
    if (search->count == search->room) {
        size_t room = 2 * search->room + 64;
        PyObject **objects = realloc(search->objects, room * sizeof *objects);
        if (!objects) return 0;
        search->objects = objects;
        search->room = room;
    }
    Py_IncRef(object);
    search->objects[search->count++] = object;
    return 1;
}

static int look_at(PyObject *object, void *argument) {
    Search *search = argument;
    if (object == first_of_image) return 0;
    if (object->refcount >= PY_IMMORTAL_MINIMUM_REFCOUNT) return 1;
    if (!has_finalizer(search, object->type) || PyObject_GC_IsFinalized(object)) return 1;
    return add(search, object);
}

/* finalizable(): the objects made by runs that have a finalizer which was not called yet, the oldest first as far as the collector
 * keeps their order. */
PyObject *eryx_finalizable(PyObject *module, PyObject *arguments) {
    Search search = {.objects = NULL};
    /* Before there is an image, everything is part of it. */
    if (first_of_image) PyUnstable_GC_VisitObjects(look_at, &search);
    PyObject *list = PyList_New((Py_ssize_t)search.count);
    for (size_t i = 0; i < search.count; i++) {
        if (list) PyList_SetItem(list, (Py_ssize_t)i, search.objects[i]);
        else Py_DecRef(search.objects[i]);
    }
    free(search.objects);
    return list;
}

/* finalize(object): calls its finalizer, unless that was done. What it raises is reported as CPython does. */
PyObject *eryx_finalize(PyObject *module, PyObject *object) {
    PyObject_CallFinalizer(object);
    return eryx_none();
}

/* flush(file): the same for its method. The interrupt goes on. */
PyObject *eryx_flush_file(PyObject *module, PyObject *file) {
    PyObject *done = PyObject_CallMethod(file, "flush", NULL);
    if (done) Py_DecRef(done);
    else if (PyErr_ExceptionMatches(eryx_sandbox_interrupt)) return NULL;
    else PyErr_WriteUnraisable(file);
    return eryx_none();
}

/* rest(unfinished): the run is about to end, with or without something that has to be finished before its interpreter goes. What
 * the answer means: REST_* in _eryx_files.py. */
PyObject *eryx_rest(PyObject *module, PyObject *unfinished) {
    return PyLong_FromLongLong(eryx_host_rest((int32_t)PyLong_AsLong(unfinished)));
}

typedef struct {
    PyObject *kept;
    Py_ssize_t size, next;
} Comparison;

static int compare(PyObject *object, void *argument) {
    Comparison *comparison = argument;
    if (comparison->next == comparison->size) return 1;
    return PyTuple_GetItem(comparison->kept, comparison->next++) != object;
}

static int refers_to(PyObject *object, PyObject *kept) {
    Comparison comparison = {.kept = kept, .size = PyTuple_Size(kept)};
    traverseproc traverse = (traverseproc)PyType_GetSlot(object->type, Py_tp_traverse);
    return traverse && !traverse(object, compare, &comparison) && comparison.next == comparison.size;
}

/* unchanged([(object, its referents, references to it), ..]): whether each refers to the same objects, and as many refer to it, if that
 * is not 0. */
PyObject *eryx_unchanged(PyObject *module, PyObject *checks) {
    int same = 1;
    for (Py_ssize_t i = 0, count = PyList_Size(checks); same && i < count; i++) {
        PyObject *check = PyList_GetItem(checks, i);
        if (!check || PyTuple_Size(check) != 3) return NULL;
        PyObject *object = PyTuple_GetItem(check, 0), *referents = PyTuple_GetItem(check, 1);
        unsigned long references = (unsigned long)PyLong_AsLong(PyTuple_GetItem(check, 2));
        if (PyTuple_Size(referents) < 0) return NULL;
        same = (!references || object->refcount == references) && refers_to(object, referents);
    }
    PyObject *answer = Py_GetConstantBorrowed(same ? Py_CONSTANT_TRUE : Py_CONSTANT_FALSE);
    Py_IncRef(answer);
    return answer;
}

static int note_first(PyObject *object, void *argument) {
    if (object->refcount < PY_IMMORTAL_MINIMUM_REFCOUNT) return 1;
    first_of_image = object;
    return 0;
}

/* mark_image(): what the collector knows now is the image's. Image time only. */
PyObject *eryx_mark_image(PyObject *module, PyObject *arguments) {
    if (!first_of_image) PyUnstable_GC_VisitObjects(note_first, NULL);
    return eryx_none();
}
