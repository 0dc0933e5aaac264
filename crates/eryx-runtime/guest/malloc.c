/* The allocator: Doug Lea's dlmalloc (vendor/dlmalloc.c, public domain, as libffi 3.4 ships it).
 *
 * The one that comes with the C library rounds every size up to a power of two, which costs half of a memory limit,
 * and never joins what was freed. */
#include "memory.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

enum { WASM_PAGE = 65536, LARGE = 65536 };

size_t eryx_in_use;

/* More memory at the end of what there is; a multiple of a wasm page. -1 if the host refuses. */
static void *more_core(intptr_t increment) {
    size_t old = __builtin_wasm_memory_size(0);
    if (increment == 0) return (void *)(old * WASM_PAGE);
    if (increment < 0 || __builtin_wasm_memory_grow(0, (size_t)increment / WASM_PAGE) == (size_t)-1) return (void *)-1;
    if (eryx_in_use >= eryx_grown_at) eryx_memory_grew();
    return (void *)(old * WASM_PAGE);
}

#define USE_DL_PREFIX 1
#define DLMALLOC_EXPORT static
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
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wunused-function"
#include "vendor/dlmalloc.c"

#pragma clang diagnostic pop

static size_t size_of(void *memory) { return memory ? chunksize(mem2chunk(memory)) : 0; }

/* Notes that a chunk of `before` bytes is now `memory`. */
static void *handed_out(void *memory, size_t before) {
    if (!memory) return NULL;
    size_t size = size_of(memory);
    eryx_in_use += size - before;
    /* What does not come from freed memory is met in more_core. */
    if (size >= LARGE && eryx_in_use >= eryx_grown_at) eryx_memory_grew();
    return memory;
}

void *eryx_malloc_free_memory(size_t size) { return handed_out(dlmalloc(size), 0); }

int eryx_malloc_neighbours(size_t size, size_t count, void **chunks) {
    enum { SAME_SIZE = 1 };
    if (!ialloc(gm, count, &size, SAME_SIZE, chunks)) return 0;
    for (size_t i = 0; i < count; i++) handed_out(chunks[i], 0);
    return 1;
}

static void take(mchunkptr hole) {
    size_t size = chunksize(hole);
    if (hole == gm->dv) {
        gm->dv = NULL;
        gm->dvsize = 0;
    } else {
        unlink_chunk(gm, hole, size);
    }
    set_inuse(gm, hole, size);
}

void eryx_malloc_fill_holes(size_t largest) {
    for (msegmentptr segment = &gm->seg; segment; segment = segment->next) {
        mchunkptr chunk = align_as_chunk(segment->base);
        for (; segment_holds(segment, chunk) && chunk != gm->top && chunk->head != FENCEPOST_HEAD; chunk = next_chunk(chunk)) {
            if (!is_inuse(chunk) && chunksize(chunk) <= largest) take(chunk);
        }
    }
}

void *malloc(size_t size) {
    void *memory = dlmalloc(size);
    while (!memory && eryx_make_room(size)) memory = dlmalloc(size);
    return handed_out(memory, 0);
}

void free(void *memory) {
    eryx_in_use -= size_of(memory);
    dlfree(memory);
}

void *calloc(size_t count, size_t size) {
    size_t total;
    if (__builtin_mul_overflow(count, size, &total)) total = SIZE_MAX;
    void *memory = dlcalloc(count, size);
    while (!memory && eryx_make_room(total)) memory = dlcalloc(count, size);
    return handed_out(memory, 0);
}

void *realloc(void *memory, size_t size) {
    size_t before = size_of(memory);
    void *moved = dlrealloc(memory, size);
    while (!moved && eryx_make_room(size)) moved = dlrealloc(memory, size);
    return handed_out(moved, before);
}

void *memalign(size_t alignment, size_t size) {
    void *memory = dlmemalign(alignment, size);
    while (!memory && eryx_make_room(size)) memory = dlmemalign(alignment, size);
    return handed_out(memory, 0);
}

int posix_memalign(void **into, size_t alignment, size_t size) {
    if (alignment < sizeof(void *) || (alignment & (alignment - 1))) return EINVAL;
    void *memory = memalign(alignment, size);
    if (!memory) return ENOMEM;
    *into = memory;
    return 0;
}

size_t malloc_usable_size(void *memory) { return dlmalloc_usable_size(memory); }
void *aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }
void *reallocarray(void *memory, size_t count, size_t size) {
    size_t total;
    if (!__builtin_mul_overflow(count, size, &total)) return realloc(memory, total);
    errno = ENOMEM;
    return NULL;
}
