/* Whether a name of a dict was set, also to the very object that it had. Methods of _eryx.
 *
 * CPython tells watchers of a dict of every value that is another object than the one before; of the others, what is put in front of
 * its insertdict does (eryx-runtime/src/announce.rs). */
#include "eryx.h"

#include <string.h>

enum { ADDED, MODIFIED, DELETED, CLONED, NO_WATCHER = -1 };

static int watcher = NO_WATCHER;
static PyObject *watched, *watched_in;
static int was_set;

/* Names in code are interned, and so are most others: the text is compared for those that are not. */
static int is_watched(PyObject *key) {
    if (key == watched) return 1;
    Py_ssize_t size;
    const char *text = PyUnicode_AsUTF8AndSize(watched, &size);
    if (!(PyType_GetFlags(key->type) & TPFLAGS_STR)) return 0;
    return text && PyUnicode_EqualToUTF8AndSize(key, text, size);
}

static int on_change(int event, PyObject *dict, PyObject *key, PyObject *value) {
    if (dict != watched_in || (event != CLONED && !(event <= MODIFIED && is_watched(key)))) return 0;
    was_set = 1;
    return PyDict_Unwatch(watcher, dict);
}

/* watch(dict, name): begins. It ends when the name is set. */
PyObject *eryx_watch(PyObject *module, PyObject *arguments) {
    PyObject *dict, *name;
    if (!PyArg_ParseTuple(arguments, "OO", &dict, &name)) return NULL;
    was_set = 0;
    Py_IncRef(name);
    Py_IncRef(dict);
    PyObject *old = watched, *old_dict = watched_in;
    watched = name;
    watched_in = dict;
    PyUnicode_InternInPlace(&watched);
    if (old) Py_DecRef(old);
    if (old_dict) Py_DecRef(old_dict);
    return PyDict_Watch(watcher, dict) ? NULL : eryx_none();
}

/* unwatch(): ends it. Whether the name was set. */
PyObject *eryx_unwatch(PyObject *module, PyObject *arguments) {
    if (watched_in && !was_set && PyDict_Unwatch(watcher, watched_in)) return NULL;
    return eryx_bool(was_set);
}

int eryx_watch_init(void) {
    watcher = PyDict_AddWatcher(on_change);
    return watcher == NO_WATCHER;
}
