/* The allocator: Doug Lea's dlmalloc (vendor/dlmalloc.c, public domain, as libffi 3.4 ships it).
 *
 * The one that comes with the C library rounds every size up to a power of two, which costs half of a memory limit,
 * and never joins what was freed. */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { WASM_PAGE = 65536 };

/* More memory at the end of what there is; a multiple of a wasm page. -1 if the host refuses. */
static void *more_core(intptr_t increment) {
    size_t old = __builtin_wasm_memory_size(0);
    if (increment == 0) return (void *)(old * WASM_PAGE);
    if (increment < 0 || __builtin_wasm_memory_grow(0, (size_t)increment / WASM_PAGE) == (size_t)-1) return (void *)-1;
    return (void *)(old * WASM_PAGE);
}

#define MORECORE more_core
#define MORECORE_CANNOT_TRIM 1
#define MORECORE_CONTIGUOUS 1
#define DEFAULT_GRANULARITY WASM_PAGE
#define HAVE_MORECORE 1
#define HAVE_MMAP 0
#define HAVE_MREMAP 0
#define LACKS_FCNTL_H 1
#define LACKS_SCHED_H 1
#define LACKS_SYS_MMAN_H 1
#define LACKS_SYS_PARAM_H 1
#define LACKS_TIME_H 1
#define LACKS_UNISTD_H 1
/* Most requests are of 12 to 60 bytes: aligned to 16 they would take a quarter more. Nothing in wasm needs that, and CPython
 * asks for no more than 8. */
#define MALLOC_ALIGNMENT 8
#define MALLOC_FAILURE_ACTION errno = ENOMEM;
#define NO_MALLINFO 1
#define NO_MALLOC_STATS 1
#define USE_LOCKS 0
#define malloc_getpagesize WASM_PAGE
#define ABORT __builtin_trap()
#include "vendor/dlmalloc.c"

void *aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }
void *reallocarray(void *memory, size_t count, size_t size) {
    size_t total;
    if (!__builtin_mul_overflow(count, size, &total)) return realloc(memory, total);
    errno = ENOMEM;
    return NULL;
}
