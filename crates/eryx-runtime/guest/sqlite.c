/* Locks of SQLite.
 *
 * On WASI, SQLite keeps others out with a directory beside the file, which stays when a run is cut off and which knows no
 * readers. Here its default file system locks with fcntl, as it does elsewhere, and fcntl asks the host. */
#include "eryx.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <wasi/api.h>

/* ---- which way of locking */

extern char libpython_data[ERYX_LIBPYTHON_DATA_SIZE];

/* The beginning of SQLite's struct sqlite3_vfs, from version 3.5 on. `finder` says how a file is locked. */
typedef struct {
    int version, file_size, path_max;
    void *next;
    const char *name;
    void *finder;
} FileSystem;
enum { VFS_VERSION = 3, VFS_PATH_MAX = 512 };

static int is_named(const FileSystem *file_system, const char *name) {
    size_t size = strlen(name) + 1;
    const char *end = libpython_data + sizeof libpython_data;
    if (file_system->version != VFS_VERSION || file_system->path_max != VFS_PATH_MAX) return 0;
    if (file_system->name < libpython_data || file_system->name >= end - size) return 0;
    return !memcmp(file_system->name, name, size);
}

/* SQLite's own static table names four file systems, which differ in `finder`. It exports none of its functions. */
static FileSystem *find(const char *name) {
    FileSystem *found = NULL;
    char *last = libpython_data + sizeof libpython_data - sizeof(FileSystem);
    for (char *at = libpython_data; at <= last; at += sizeof(void *)) {
        if (!is_named((FileSystem *)at, name)) continue;
        if (found) return NULL;
        found = (FileSystem *)at;
    }
    return found;
}

/* Image time only, once libpython's data is relocated. 0, or -1 if SQLite is not made as is said above. */
int eryx_sqlite_init(void) {
    FileSystem *used = find("unix-dotfile"), *wanted = find("unix");
    if (!used || !wanted || used->file_size != wanted->file_size) return -1;
    used->finder = wanted->finder;
    return 0;
}

/* ---- fcntl */

/* The C library for WASI has no locks; these are the numbers that SQLite gives them there. */
enum { GET_LOCK = 12, SET_LOCK = 13, READ_LOCK = 0, WRITE_LOCK = 1, NO_LOCK = 2 };

static int failed(int error) {
    errno = error;
    return -1;
}

static int set_lock(int descriptor, const struct flock *lock) {
    static const int32_t how[] = {[READ_LOCK] = ERYX_LOCK_SHARED, [WRITE_LOCK] = ERYX_LOCK_EXCLUSIVE, [NO_LOCK] = ERYX_UNLOCK};
    if (lock->l_type < READ_LOCK || lock->l_type > NO_LOCK || lock->l_whence != SEEK_SET) return failed(EINVAL);
    int error = eryx_host_lock(descriptor, how[lock->l_type], (uint64_t)lock->l_start, (uint64_t)lock->l_len);
    return error ? failed(error) : 0;
}

static int get_lock(int descriptor, struct flock *lock) {
    if (lock->l_whence != SEEK_SET) return failed(EINVAL);
    int error = eryx_host_lock(descriptor, ERYX_LOCK_TEST, (uint64_t)lock->l_start, (uint64_t)lock->l_len);
    if (error && error != EAGAIN) return failed(error);
    lock->l_type = error ? WRITE_LOCK : NO_LOCK;
    return 0;
}

/* What a descriptor may be used for. */
static int get_flags(int descriptor) {
    __wasi_fdstat_t status;
    int error = __wasi_fd_fdstat_get(descriptor, &status);
    if (error) return failed(error);
    int reads = (status.fs_rights_base & (__WASI_RIGHTS_FD_READ | __WASI_RIGHTS_FD_READDIR)) != 0;
    int writes = (status.fs_rights_base & __WASI_RIGHTS_FD_WRITE) != 0;
    int access = reads && writes ? O_RDWR : reads ? O_RDONLY : writes ? O_WRONLY : O_SEARCH;
    return status.fs_flags | access;
}

static int set_flags(int descriptor, int flags) {
    int error = __wasi_fd_fdstat_set_flags(descriptor, (__wasi_fdflags_t)(flags & 0xfff));
    return error ? failed(error) : 0;
}

int fcntl(int descriptor, int command, ...) {
    va_list rest;
    va_start(rest, command);
    int result;
    switch (command) {
    /* There is no other program that a descriptor could be handed down to. */
    case F_GETFD: result = FD_CLOEXEC; break;
    case F_SETFD: result = 0; break;
    case F_GETFL: result = get_flags(descriptor); break;
    case F_SETFL: result = set_flags(descriptor, va_arg(rest, int)); break;
    case GET_LOCK: result = get_lock(descriptor, va_arg(rest, struct flock *)); break;
    case SET_LOCK: result = set_lock(descriptor, va_arg(rest, const struct flock *)); break;
    default: result = failed(EINVAL);
    }
    va_end(rest);
    return result;
}
