/* When reference cycles are looked for.
 *
 * CPython 3.14.0 collects in increments. Each walks a container that grows anew, so that building a list costs the square of its
 * length; 3.14.5 gave them up. Instead of them there are its two other ways: the objects made since the last time, and
 * everything, which comes when as many objects, or as many bytes, have come as survived it. Tests: core/python/collector.rs. */
#include "eryx.h"
#include "memory.h"

#include <stdlib.h>

enum { YOUNG = 0, EVERYTHING = 2, REASON_HEAP = 0 };
Py_ssize_t _PyGC_Collect(void *thread, int generation, int reason);

/* ---- the state of CPython's collector
 *
 * A part of struct _gc_runtime_state of CPython 3.14.0 for wasm32. Nothing hands out its address: it is looked for, and what is
 * found is tried out, when the runtime is built. */
typedef struct {
    void *next, *previous;
    int threshold, count;
} Generation;
typedef struct {
    /* `old` change their roles; together their counts are the young collections since the last one of everything. */
    Generation young, old[2], permanent;
    struct {
        Py_ssize_t collections, collected, uncollectable;
    } stats[3];
    int collecting;
    PyObject *garbage, *callbacks;
    Py_ssize_t heap_size;
} Collector;

static Collector *collector;
/* What there was after the last collection of everything: containers that are none of the image's, and bytes in use. */
static Py_ssize_t containers;
static size_t bytes;
static Py_ssize_t image_containers;

/* Before the image is taken nothing is to be collected because of it. */
size_t eryx_grown_at = SIZE_MAX;

static void note(void) {
    containers = collector->heap_size - image_containers;
    bytes = eryx_in_use;
    eryx_grown_at = 0;
}

/* Finalizers are the user's code. */
static void collect(void *thread, int generation) {
    int user = eryx_reserve_user(1);
    if (thread) {
        _PyGC_Collect(thread, generation, REASON_HEAP);
    } else {
        PyGC_Collect();
    }
    if (generation == EVERYTHING) note();
    eryx_reserve_user(user);
}

/* In the place of _Py_RunGC (eryx-runtime/src/hook.rs): more containers are new than gc.get_threshold()[0]. */
ERYX_EXPORT("eryx_run_gc") void eryx_run_gc(void *thread) {
    if (!PyGC_IsEnabled()) return;
    Py_ssize_t collections = collector->old[0].count + collector->old[1].count;
    int64_t made = (int64_t)collections * collector->young.threshold;
    int many = collections >= collector->old[0].threshold && made >= containers;
    collect(thread, many ? EVERYTHING : YOUNG);
}

/* ---- memory
 *
 * A few containers may hold much memory, so bytes count as well. A collection may run any code: it is not done inside of
 * malloc, but soon after it. */

enum { LEAST_STEP = 1 << 20, PART = 64, ROOM = 8 };

static int asked;
/* Requests that failed since the last collection that freed something; not 0 as long as memory is short. */
static unsigned refused;

static int collect_everything(void *nothing) {
    size_t before = eryx_in_use;
    asked = 0;
    if (PyGC_IsEnabled()) {
        collect(NULL, EVERYTHING);
    } else {
        note();
    }
    if (refused && eryx_in_use < before - before / PART) refused = 1;
    return 0;
}

static void ask(void) {
    if (!asked && Py_AddPendingCall(collect_everything, NULL) == 0) asked = 1;
}

/* The linker's: memory below is the stack and static data. */
extern char __heap_base;
/* The most bytes that can ever be in use. */
static size_t most_bytes(void) { return eryx_host_memory_limit() - (size_t)&__heap_base; }

/* Asks when as many bytes as there were have come, or half of what the limit then left. */
void eryx_memory_grew(void) {
    size_t most = most_bytes(), room = most > bytes ? most - bytes : 0;
    size_t step = bytes < room / 2 ? bytes : room / 2;
    eryx_grown_at = step < LEAST_STEP ? SIZE_MAX : bytes + step;
    if (eryx_in_use < eryx_grown_at) return;
    eryx_grown_at = SIZE_MAX;
    ask();
}

/* Code may go on asking for what is not there: unless something has come meanwhile, fewer and fewer of these requests count. */
void eryx_memory_is_short(void) {
    refused++;
    int come = eryx_in_use > bytes && eryx_in_use - bytes > eryx_in_use / PART;
    if (come || (refused & (refused - 1)) == 0) ask();
}

/* A run begins. If an earlier one had too little memory, it may have made garbage of what it holds. */
void eryx_collect_begin(void) {
    eryx_grown_at = 0;
    if (!refused) return;
    collect_everything(NULL);
    size_t most = most_bytes();
    refused = eryx_in_use >= most - most / ROOM;
}

/* ---- image time */

enum { MARK = 0x5eed00, SEARCHED = 1 << 21, TRIED = 1000, FREE_LIST = 100 };

static int set_thresholds(PyObject *gc, int young, int old, int oldest) {
    PyObject *done = PyObject_CallMethod(gc, "set_threshold", "iii", young, old, oldest);
    if (done) Py_DecRef(done);
    return done ? 0 : -1;
}

static Collector *search(char *from) {
    for (char *at = from; at < from + SEARCHED; at += sizeof(int)) {
        Collector *here = (Collector *)at;
        if (here->young.threshold == MARK && here->old[0].threshold == MARK + 1 && here->old[1].threshold == MARK + 2) return here;
    }
    return NULL;
}

/* Whether the fields mean what their names say. */
static int is_known(PyObject *gc) {
    Py_ssize_t before = collector->heap_size;
    PyObject *lists = PyList_New(TRIED);
    for (int i = 0; lists && i < TRIED; i++) PyList_SetItem(lists, i, PyList_New(0));
    Py_ssize_t grown = collector->heap_size - before;
    if (lists) Py_DecRef(lists);
    PyObject *callbacks = PyObject_GetAttrString(gc, "callbacks");
    if (callbacks) Py_DecRef(callbacks);
    return grown >= TRIED - FREE_LIST && grown <= TRIED + 1 && collector->callbacks == callbacks && !collector->collecting;
}

int eryx_find_collector(void) {
    PyObject *gc = PyImport_ImportModule("gc");
    if (!gc || set_thresholds(gc, MARK, MARK + 1, MARK + 2)) return -1;
    collector = search(PyInterpreterState_Get());
    if (set_thresholds(gc, 2000, 10, 0)) return -1;
    int known = collector && is_known(gc);
    Py_DecRef(gc);
    return known ? 0 : -1;
}

void eryx_image_collected(void) {
    image_containers = collector->heap_size;
    eryx_reserve_make();
    note();
}
