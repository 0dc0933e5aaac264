/* What malloc.c, reserve.c and collect.c know of each other. */
#ifndef ERYX_MEMORY_H
#define ERYX_MEMORY_H

#include <stddef.h>

/* malloc.c: bytes in chunks that are handed out, those of the reserve included. */
extern size_t eryx_in_use;
/* malloc() without the reserve. */
void *eryx_malloc_free_memory(size_t size);
/* The same for so many chunks that lie together. 0: there is no room for them. */
int eryx_malloc_neighbours(size_t size, size_t count, void **chunks);
/* Image time: hands out to nobody all that is free in chunks of up to `largest` bytes, so that what runs ask for lies together and not
 * in the holes of many pages. */
void eryx_malloc_fill_holes(size_t largest);

/* collect.c: the bytes in use at which eryx_memory_grew() is to be called. */
extern size_t eryx_grown_at;
void eryx_memory_grew(void);
/* There is no memory for what the user's code asked for. */
void eryx_memory_is_short(void);
void eryx_collect_begin(void);

/* reserve.c: gives a piece of the reserve back, for a request of `size` bytes that failed. 0: there is none for it. */
int eryx_make_room(size_t size);
/* Image time: takes the reserve from the free memory at the end of the heap. */
void eryx_reserve_make(void);
/* A run begins, with our own code. */
void eryx_reserve_begin(void);
/* Whether the user's code runs from now on, which has to leave most of the reserve alone. Returns whether it did. */
int eryx_reserve_user(int user);

#endif
