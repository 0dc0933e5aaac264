/* Memory that is held back, so that a run which has used up all of it can be reported, and the next one can free some.
 *
 * Our own code (decoding, compiling, reporting) may use all of the reserve; what it takes it gives back. The user's code may use a
 * little of it in each run, and half of it never: it could keep what it gets. */
#include "memory.h"

#include <stdlib.h>

enum { PIECE = 16 << 10, PIECES = 64, OURS = 32, USERS = 8 };

static void *pieces[PIECES];
static int made, held;
/* They do not all lie together: so they may keep large requests from being served. */
static int scattered;
/* Pieces that may not be touched now, and while the user's code runs. */
static int kept, kept_from_user = OURS;

static void refill(void) {
    while (made && held < PIECES && (pieces[held] = eryx_malloc_free_memory(PIECE))) {
        held++;
        scattered = 1;
    }
}

/* Takes all pieces anew, together if there is a place for that. */
static void gather(void) {
    while (held) free(pieces[--held]);
    if (eryx_malloc_neighbours(PIECE, PIECES, pieces)) {
        held = PIECES;
        scattered = 0;
    } else {
        refill();
    }
}

int eryx_make_room(size_t size) {
    if (kept) eryx_memory_is_short();
    if (held <= kept || size > (size_t)(held - kept) * PIECE) return 0;
    /* Neighbours, if they were taken together: they become one free chunk again. */
    free(pieces[--held]);
    return 1;
}

void eryx_reserve_make(void) {
    made = eryx_malloc_neighbours(PIECE, PIECES, pieces);
    if (!made) abort();
    held = PIECES;
}

void eryx_reserve_begin(void) {
    kept = 0;
    if (scattered || held < PIECES) gather();
    kept_from_user = held - USERS > OURS ? held - USERS : OURS;
}

int eryx_reserve_user(int user) {
    int before = kept != 0;
    if (user) refill();
    kept = user ? kept_from_user : 0;
    return before;
}
