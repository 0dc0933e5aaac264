/* The contract between the guest and its host. The Rust side of it is crates/eryx/src/abi.rs. */
#ifndef ERYX_H
#define ERYX_H

#include "python_api.h"

#define ERYX_EXPORT(name) __attribute__((export_name(name), used))
#define ERYX_IMPORT(name) __attribute__((import_module("eryx"), import_name(name)))

/* ---- what eryx_start and eryx_resume return: DONE, NO_TIMER, or nanoseconds until the next timer (PENDING) */
#define ERYX_DONE (-1ll)
#define ERYX_NO_TIMER INT64_MAX

/* ---- imports */

/* Hands one encoded value to the host. `kind` says what it is: see _eryx.KIND_* in module.c. */
ERYX_IMPORT("deliver") void eryx_host_deliver(int32_t kind, const uint8_t *data, uint32_t size);
/* Waits inside a guest call until a timer of `nanoseconds` passed or something for the guest arrived. */
ERYX_IMPORT("wait") int32_t eryx_host_wait(int64_t nanoseconds);

/* ---- value.c: what crosses, in both directions. Layout: docs/wire-format.md */

enum { ERYX_MAX_DEPTH = 256 };
int eryx_value_init(void);
/* Encodes `value` into a malloc'd buffer. On failure returns NULL with a TypeError that names the path from `root`. */
uint8_t *eryx_encode(PyObject *value, const char *root, size_t *size);
/* Decodes one value. The bytes come from the host and are trusted to be well formed; truncation still is an error. */
PyObject *eryx_decode(const uint8_t *data, size_t size);

/* ---- module.c */
PyObject *eryx_module_init(void);
extern PyObject *eryx_driver_start, *eryx_driver_resume, *eryx_driver_interrupt, *eryx_driver_flush;
extern PyObject *eryx_sandbox_interrupt;

/* The signal whose handler raises SandboxInterrupt. The host sets its "tripped" flag directly in memory. */
enum { ERYX_SIGNAL = 24 /* SIGXCPU */ };

#endif
