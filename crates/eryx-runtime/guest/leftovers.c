/* What code leaves behind when it ends: objects that want to be told, such as open files. Methods of _eryx. */
#include "eryx.h"
#include "memory.h"

#include <stdlib.h>

/* Larger ones are few: what runs make lies together in them too. Without the holes `pass` writes to 57 pages, with them to 100. */
enum { LARGEST_HOLE = 2 << 10 };

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

/* What of the user's may be in these besides what the image has: a function that tells how many functions wait for the end, and
 * containers. Static, as the image has them. */
enum { CONTAINERS = 3 };
static PyObject *exit_functions, *containers[CONTAINERS];
static Py_ssize_t sizes_in_image[CONTAINERS];
static long exit_functions_in_image;

static Py_ssize_t size_of(PyObject *container) {
    return PyType_GetFlags(container->type) & TPFLAGS_DICT ? PyDict_Size(container) : PyList_Size(container);
}

/* How many functions of atexit there are, -1 with an exception. */
static long count_exit_functions(void) {
    PyObject *count = PyObject_CallNoArgs(exit_functions);
    long number = count ? PyLong_AsLong(count) : -1;
    if (count) Py_DecRef(count);
    return number;
}

/* note_ends(exit_functions, modules, handlers, finalizers): notes what the image has of these. Image time only. */
PyObject *eryx_note_ends(PyObject *module, PyObject *arguments) {
    if (!PyArg_ParseTuple(arguments, "OOOO", &exit_functions, &containers[0], &containers[1], &containers[2])) return NULL;
    Py_IncRef(exit_functions);
    for (int i = 0; i < CONTAINERS; i++) {
        Py_IncRef(containers[i]);
        sizes_in_image[i] = size_of(containers[i]);
    }
    exit_functions_in_image = count_exit_functions();
    return exit_functions_in_image < 0 ? NULL : eryx_none();
}

/* Whether the containers from `first` on, or the functions of atexit, are more or fewer than the image has. */
static int has_ends(int first) {
    for (int i = first; i < CONTAINERS; i++) {
        if (size_of(containers[i]) != sizes_in_image[i]) return 1;
    }
    long count = count_exit_functions();
    if (count < 0) PyErr_Clear();
    return count != exit_functions_in_image;
}

/* has_exit_functions(): whether functions wait for the interpreter's end, new modules left aside. */
PyObject *eryx_has_exit_functions(PyObject *module, PyObject *arguments) { return eryx_bool(has_ends(1)); }

/* finish(finalizers): the run is about to end. `finalizers`: code so far may have defined some. What the answer means is at
 * the top of _eryx_files.py. */
PyObject *eryx_finish(PyObject *module, PyObject *finalizers) {
    int unfinished = finalizers == Py_GetConstantBorrowed(Py_CONSTANT_TRUE) || has_ends(0);
    return PyLong_FromLongLong(eryx_host_finish(unfinished));
}

static int note_first(PyObject *object, void *argument) {
    if (object->refcount < PY_IMMORTAL_MINIMUM_REFCOUNT) return 1;
    first_of_image = object;
    return 0;
}

/* mark_image(): what the collector knows now is the image's, and its heap has no more holes. Image time only. */
PyObject *eryx_mark_image(PyObject *module, PyObject *arguments) {
    if (!first_of_image) {
        PyUnstable_GC_VisitObjects(note_first, NULL);
        eryx_malloc_fill_holes(LARGEST_HOLE);
    }
    return eryx_none();
}
