/* Start of the interpreter (image time only) and the entry points that the host calls. */
#include "eryx.h"
#include "memory.h"

#include <stdlib.h>
#include <string.h>

/* Filled by the merge: libpython's static data lives here. Its size comes from libpython's dylink.0 section. */
__attribute__((aligned(64), used, visibility("default"))) char libpython_data[ERYX_LIBPYTHON_DATA_SIZE];

__attribute__((import_module("py2"), import_name("_initialize"))) void libpython_initialize(void);
__attribute__((import_module("py2"), import_name("__wasm_apply_data_relocs"))) void libpython_relocate(void);

/* Small requests are written here, so that a run needs no allocation for them. */
enum { ERYX_REQUEST_BUFFER_SIZE = 16384 };
static uint8_t request_buffer[ERYX_REQUEST_BUFFER_SIZE];

static int configure(PyInitConfig *config) {
    static char *search_paths[] = {"/usr/lib/python3.14", "/eryx"};
    static char *argv[] = {""};
    struct {
        const char *name;
        int64_t value;
    } ints[] = {
        {"utf8_mode", 1},
        {"use_environment", 0},
        {"install_signal_handlers", 0},
        {"write_bytecode", 0},
        {"use_hash_seed", 1},
        {"hash_seed", 0},
        {"user_site_directory", 0},
        {"site_import", 0},
        {"safe_path", 1},
        {"parse_argv", 0},
        {"buffered_stdio", 1},
        {"pathconfig_warnings", 0},
        /* Tracebacks and patches: the modules are those of the archive. */
        {"use_frozen_modules", 0},
    };
    struct {
        const char *name, *value;
    } strings[] = {
        {"home", "/usr"},
        {"prefix", "/usr"},
        {"exec_prefix", "/usr"},
        {"base_prefix", "/usr"},
        {"executable", ""},
        {"base_executable", ""},
        {"program_name", "python3"},
        {"base_exec_prefix", "/usr"},
        {"platlibdir", "lib"},
        {"filesystem_encoding", "utf-8"},
        {"stdlib_dir", "/usr/lib/python3.14"},
        {"stdio_encoding", "utf-8"},
        {"stdio_errors", "surrogateescape"},
    };
    int failed = 0;
    for (size_t i = 0; i < sizeof ints / sizeof *ints; i++) failed |= PyInitConfig_SetInt(config, ints[i].name, ints[i].value);
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++)
        failed |= PyInitConfig_SetStr(config, strings[i].name, strings[i].value);
    failed |= PyInitConfig_SetStrList(config, "module_search_paths", 2, search_paths);
    failed |= PyInitConfig_SetStrList(config, "argv", 1, argv);
    return failed;
}

static const char *boot_error;

/* Boots CPython. Returns 0, or 1 with the reason at eryx_boot_error(). */
ERYX_EXPORT("eryx_boot") int eryx_boot(void) {
    libpython_relocate();
    libpython_initialize();
    if (eryx_sqlite_init()) {
        boot_error = "SQLite's table of file systems is not where it was";
        return 1;
    }
    PyImport_AppendInittab("_eryx", eryx_module_init);
    PyInitConfig *config = PyInitConfig_Create();
    if (configure(config) || Py_InitializeFromInitConfig(config)) {
        PyInitConfig_GetError(config, &boot_error);
        return 1;
    }
    PyInitConfig_Free(config);
    if (eryx_find_collector()) {
        boot_error = "its collector of cycles is not the one that is known";
        return 1;
    }
    return 0;
}

ERYX_EXPORT("eryx_boot_error") const char *eryx_boot_error(void) { return boot_error ? boot_error : ""; }

/* Runs NUL-terminated source. Image time only: the builder prepares the image with it. 0 or -1, details on fd 2. */
ERYX_EXPORT("eryx_exec") int eryx_exec(const char *source) { return PyRun_SimpleStringFlags(source, NULL); }

ERYX_EXPORT("eryx_request_buffer") void *eryx_request_buffer(void) { return request_buffer; }
ERYX_EXPORT("eryx_request_buffer_size") uint32_t eryx_request_buffer_size(void) { return sizeof request_buffer; }
ERYX_EXPORT("eryx_alloc") void *eryx_alloc(uint32_t size) { return malloc(size); }
ERYX_EXPORT("eryx_free") void eryx_free(void *pointer) { free(pointer); }

/* What libc calls when the process ends is never run: a guest's memory is dropped, not shut down. */

static PyObject *call(PyObject *function, PyObject *argument) {
    return argument ? PyObject_CallOneArg(function, argument) : PyObject_CallNoArgs(function);
}

/* Reports a run for whose report even the reserve is too small. */
static int64_t out_of_memory(void) {
    static const uint8_t report[] = "m\2\0\0\0\4\0\0\0types\13\0\0\0MemoryError\7\0\0\0messages\13\0\0\0MemoryError";
    PyErr_Clear();
    PyObject *flushed = call(eryx_driver_flush, NULL);
    if (flushed) Py_DecRef(flushed);
    PyErr_Clear();
    eryx_host_deliver(ERYX_KIND_REPORT, report, sizeof report - 1);
    return ERYX_DONE;
}

/* The run is set up, and its code begins. */
static int begun;

PyObject *eryx_begin(PyObject *module, PyObject *arguments) {
    begun = 1;
    return eryx_none();
}

/* Calls a driver function that reports how the run goes on. It handles the user's exceptions itself. The interrupt may
 * come in the middle of the driver's own code: then it ends the run, or the guest if the run is only half set up, so that its state
 * is put back. Anything else that gets here comes from a guest that took its driver apart, and ends the run as a trap. */
static int64_t call_driver(PyObject *function, PyObject *argument) {
    PyObject *status = call(function, argument);
    if (!status && PyErr_ExceptionMatches(eryx_sandbox_interrupt)) {
        if (!begun) abort();
        PyErr_Clear();
        status = call(eryx_driver_interrupt, NULL);
    }
    if (!status && PyErr_ExceptionMatches(eryx_memory_error)) return out_of_memory();
    if (!status) abort();
    int64_t next = PyLong_AsLongLong(status);
    Py_DecRef(status);
    return next;
}

/* `data` is the request buffer, or memory from eryx_alloc, which is freed here. */
ERYX_EXPORT("eryx_start") int64_t eryx_start(const uint8_t *data, uint32_t size) {
    eryx_collect_begin();
    eryx_reserve_begin();
    PyObject *request = eryx_decode(data, size);
    if (data != request_buffer) free((void *)data);
    if (!request && PyErr_ExceptionMatches(eryx_memory_error)) return ERYX_NO_MEMORY;
    if (!request) PyErr_Clear();
    int before = begun;
    begun = 0;
    int64_t next = call_driver(eryx_driver_start, request ? request : Py_GetConstantBorrowed(Py_CONSTANT_NONE));
    if (request) Py_DecRef(request);
    /* It was no run, but something asked of the interpreter in the middle of one. */
    if (!begun) begun = before;
    return next;
}
/* Goes on after a wait: a timer is due, or answers have arrived. */
ERYX_EXPORT("eryx_resume") int64_t eryx_resume(void) { return call_driver(eryx_driver_resume, NULL); }
/* Ends the awaits of a run that is PENDING. A run that computes is interrupted through ERYX_SIGNAL instead. */
ERYX_EXPORT("eryx_interrupt") int64_t eryx_interrupt(void) { return call_driver(eryx_driver_interrupt, NULL); }

/* Hands over what a run had printed when it was cut off. The interpreter may be in any state: this may trap. */
ERYX_EXPORT("eryx_flush") void eryx_flush(void) {
    eryx_reserve_user(0);
    call(eryx_driver_flush, NULL);
}

/* Trips ERYX_SIGNAL the ordinary way. Image time only: the builder learns from it which words of memory to set. */
ERYX_EXPORT("eryx_trip_signal") int eryx_trip_signal(void) { return PyErr_SetInterruptEx(ERYX_SIGNAL); }
