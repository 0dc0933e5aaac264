/* The contract between the guest and its host. The Rust side of it is crates/eryx/src/guest/abi.rs. */
#ifndef ERYX_H
#define ERYX_H

#include "python_api.h"

#define ERYX_EXPORT(name) __attribute__((export_name(name), used))
#define ERYX_IMPORT(name) __attribute__((import_module("eryx"), import_name(name)))

/* ---- what eryx_start and eryx_resume return: DONE, NO_TIMER, or nanoseconds until the next timer (PENDING) */
#define ERYX_DONE (-1ll)
/* eryx_start: there is no memory for the request, and nothing was done. */
#define ERYX_NO_MEMORY (-2ll)
#define ERYX_NO_TIMER INT64_MAX

/* ---- imports */

/* Hands one encoded value to the host. `kind` says what it is: see KIND_* in _eryx_driver.py. */
enum { ERYX_KIND_REPORT = 2 };
ERYX_IMPORT("deliver") void eryx_host_deliver(int32_t kind, const uint8_t *data, uint32_t size);
/* Waits inside a guest call until a timer of `nanoseconds` passed or something for the guest arrived. */
ERYX_IMPORT("wait") int32_t eryx_host_wait(int64_t nanoseconds);

/* Calls a function of the host with encoded arguments. Returns the call's number, or why it was refused: negative, see
 * _eryx_callbacks.py. */
ERYX_IMPORT("call") int64_t eryx_host_call(uint32_t callback, const uint8_t *data, uint32_t size);
/* Nobody waits for the answer to this call any more. */
ERYX_IMPORT("cancel") void eryx_host_cancel(int64_t call);
typedef struct {
    uint64_t call;
    uint32_t kind, size;
} EryxAnswer;
/* Tells of the next answer: 1, or 0 if there is none. It can be read until the next call of this. */
ERYX_IMPORT("next_answer") int32_t eryx_host_next_answer(EryxAnswer *answer);
ERYX_IMPORT("read_answer") void eryx_host_read_answer(uint8_t *data);
/* The run is about to end; `unfinished`: something has to be done before its interpreter goes. What the answer
 * means is at the top of _eryx_files.py. */
ERYX_IMPORT("finish") int64_t eryx_host_finish(int32_t unfinished);
/* The most bytes that the guest's memory may have. */
ERYX_IMPORT("memory_limit") uint32_t eryx_host_memory_limit(void);
/* Hands encoded events of a traced run to the host. */
ERYX_IMPORT("trace") void eryx_host_trace(const uint8_t *data, uint32_t size);

/* Locks a part of an open file. Returns 0 or an error number: EAGAIN if another guest's lock is in the way. */
enum { ERYX_LOCK_SHARED, ERYX_LOCK_EXCLUSIVE, ERYX_UNLOCK, ERYX_LOCK_TEST /* would an exclusive lock be refused? */ };
ERYX_IMPORT("lock") int32_t eryx_host_lock(int32_t descriptor, int32_t how, uint64_t start, uint64_t size);

/* ---- value.c: what crosses, in both directions. Layout: docs/wire-format.md */

enum { ERYX_MAX_DEPTH = 256 };
int eryx_value_init(void);
extern PyObject *eryx_type_error, *eryx_memory_error;
/* Encodes `value` into a malloc'd buffer. On failure returns NULL with a TypeError that names the path from `root`. */
uint8_t *eryx_encode(PyObject *value, const char *root, size_t *size);
/* Encodes the arguments of a call: a list of a sequence and a dict. Errors begin with the callback's name. */
uint8_t *eryx_encode_call(const char *name, PyObject *positional, PyObject *named, size_t *size);
/* Decodes one value. The bytes come from the host and are trusted to be well formed; truncation still is an error. */
PyObject *eryx_decode(const uint8_t *data, size_t size);

/* ---- module.c */
PyObject *eryx_module_init(void);
extern PyObject *eryx_driver_start, *eryx_driver_resume, *eryx_driver_interrupt, *eryx_driver_flush;
extern PyObject *eryx_sandbox_interrupt;
PyObject *eryx_none(void);
PyObject *eryx_bool(int value);

/* ---- sqlite.c: image time only */
int eryx_sqlite_init(void);

/* ---- boot.c: a method of _eryx */
PyObject *eryx_begin(PyObject *module, PyObject *arguments);

/* ---- image.c: a method of _eryx */
PyObject *eryx_immortalize(PyObject *module, PyObject *arguments);

/* ---- union.c: a method of _eryx */
PyObject *eryx_mend_union(PyObject *module, PyObject *type);

/* ---- leftovers.c: methods of _eryx */
PyObject *eryx_finalizable(PyObject *module, PyObject *arguments);
PyObject *eryx_finalize(PyObject *module, PyObject *object);
PyObject *eryx_flush_file(PyObject *module, PyObject *file);
PyObject *eryx_finish(PyObject *module, PyObject *finalizers);
PyObject *eryx_note_ends(PyObject *module, PyObject *arguments);
PyObject *eryx_has_exit_functions(PyObject *module, PyObject *arguments);
PyObject *eryx_mark_image(PyObject *module, PyObject *arguments);

/* ---- streams.c: methods of _eryx */
PyObject *eryx_note_streams(PyObject *module, PyObject *arguments);
PyObject *eryx_streams_are_sound(PyObject *module, PyObject *arguments);

/* ---- random.c: methods of _eryx */
PyObject *eryx_set_generator(PyObject *module, PyObject *object);
PyObject *eryx_reseed(PyObject *module, PyObject *bytes);

/* ---- watch.c: methods of _eryx */
int eryx_watch_init(void);
PyObject *eryx_watch(PyObject *module, PyObject *arguments);
PyObject *eryx_unwatch(PyObject *module, PyObject *arguments);

/* ---- collect.c: image time only */
int eryx_find_collector(void);
void eryx_image_collected(void);

/* The signal whose handler raises SandboxInterrupt. The host sets its "tripped" flag directly in memory. */
enum { ERYX_SIGNAL = 24 /* SIGXCPU */ };

#endif
