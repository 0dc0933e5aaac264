/* Searches and comparisons of wide characters, four at a time. They are four bytes long and signed, as `int` is. */
#include <wchar.h>

#include "blocks.h"

_Static_assert(sizeof(wchar_t) == 4 && (wchar_t)-1 < 0, "wide characters are ints");
enum { LANES = BLOCK / sizeof(wchar_t) };

/* How many characters memory has room for from `text` on. */
static inline size_t room_for_wides(const wchar_t *text) { return (size_t)(readable(text) / sizeof(wchar_t)); }

/* `count` may be more than there is if the character is found before. */
wchar_t *wmemchr(const wchar_t *text, wchar_t wanted, size_t count) {
    const v128_t wide = wasm_i32x4_splat(wanted);
    const size_t room = room_for_wides(text);
    if (count > room) count = room;
    for (; count >= 4 * LANES; text += 4 * LANES, count -= 4 * LANES) {
        v128_t a = wasm_i32x4_eq(load(text), wide), b = wasm_i32x4_eq(load(text + LANES), wide);
        v128_t c = wasm_i32x4_eq(load(text + 2 * LANES), wide), d = wasm_i32x4_eq(load(text + 3 * LANES), wide);
        if (wasm_v128_any_true(wasm_v128_or(wasm_v128_or(a, b), wasm_v128_or(c, d)))) break;
    }
    for (; count >= LANES; text += LANES, count -= LANES) {
        uint32_t mask = equal_wides(load(text), wide);
        if (mask) return (wchar_t *)text + first(mask);
    }
    for (; count; text++, count--) {
        if (*text == wanted) return (wchar_t *)text;
    }
    return NULL;
}

/* A lane is zero where a character is the wanted one or the terminator. */
static inline v128_t ends(const wchar_t *at, v128_t wanted) {
    v128_t block = load(at);
    return wasm_u32x4_min(block, wasm_v128_xor(block, wanted));
}

/* The first character that is `wanted` or zero: whole blocks as long as memory has them, then one by one. */
static inline const wchar_t *find(const wchar_t *text, wchar_t wanted) {
    const v128_t wide = wasm_i32x4_splat(wanted);
    uint64_t room = readable(text);
    for (; room >= LINE; text += 4 * LANES, room -= LINE) {
        v128_t low = wasm_u32x4_min(ends(text, wide), ends(text + LANES, wide));
        v128_t high = wasm_u32x4_min(ends(text + 2 * LANES, wide), ends(text + 3 * LANES, wide));
        if (!wasm_i32x4_all_true(wasm_u32x4_min(low, high))) break;
    }
    for (; room >= BLOCK; text += LANES, room -= BLOCK) {
        uint32_t mask = equal_wides(ends(text, wide), wasm_i32x4_splat(0));
        if (mask) return text + first(mask);
    }
    while (*text && *text != wanted) text++;
    return text;
}

size_t wcslen(const wchar_t *text) { return (size_t)(find(text, 0) - text); }

size_t wcsnlen(const wchar_t *text, size_t most) {
    const wchar_t *end = wmemchr(text, 0, most);
    return end ? (size_t)(end - text) : most;
}

wchar_t *wcschr(const wchar_t *text, wchar_t wanted) {
    const wchar_t *found = find(text, wanted);
    return *found == wanted ? (wchar_t *)found : NULL;
}

wchar_t *wcsrchr(const wchar_t *text, wchar_t wanted) {
    for (const wchar_t *at = text + wcslen(text);; at--) {
        if (*at == wanted) return (wchar_t *)at;
        if (at == text) return NULL;
    }
}

static inline int order(wchar_t a, wchar_t b) { return (a > b) - (a < b); }

int wmemcmp(const wchar_t *a, const wchar_t *b, size_t count) {
    for (; count >= 4 * LANES; a += 4 * LANES, b += 4 * LANES, count -= 4 * LANES) {
        v128_t p = wasm_v128_xor(load(a), load(b)), q = wasm_v128_xor(load(a + LANES), load(b + LANES));
        v128_t r = wasm_v128_xor(load(a + 2 * LANES), load(b + 2 * LANES)),
               s = wasm_v128_xor(load(a + 3 * LANES), load(b + 3 * LANES));
        if (wasm_v128_any_true(wasm_v128_or(wasm_v128_or(p, q), wasm_v128_or(r, s)))) break;
    }
    for (; count >= LANES; a += LANES, b += LANES, count -= LANES) {
        uint32_t different = ~equal_wides(load(a), load(b)) & 15;
        if (different) return order(a[first(different)], b[first(different)]);
    }
    for (; count; a++, b++, count--) {
        if (*a != *b) return order(*a, *b);
    }
    return 0;
}

/* A lane is zero where the texts differ or the first one ends. */
static inline v128_t differences(const wchar_t *a, const wchar_t *b) {
    v128_t block = load(a);
    return wasm_u32x4_min(block, wasm_i32x4_eq(block, load(b)));
}

int wcsncmp(const wchar_t *a, const wchar_t *b, size_t most) {
    const size_t room = room_for_wides(a > b ? a : b);
    const size_t lines = room < most ? room : most;
    size_t at = 0;
    for (; lines - at >= 4 * LANES; at += 4 * LANES) {
        v128_t low = wasm_u32x4_min(differences(a + at, b + at), differences(a + at + LANES, b + at + LANES));
        v128_t high =
            wasm_u32x4_min(differences(a + at + 2 * LANES, b + at + 2 * LANES), differences(a + at + 3 * LANES, b + at + 3 * LANES));
        if (!wasm_i32x4_all_true(wasm_u32x4_min(low, high))) break;
    }
    for (; at < most && room - at >= LANES; at += LANES) {
        uint32_t stop = equal_wides(differences(a + at, b + at), wasm_i32x4_splat(0));
        if (stop) return first(stop) < most - at ? order(a[at + first(stop)], b[at + first(stop)]) : 0;
    }
    for (; at < most; at++) {
        if (a[at] != b[at] || !a[at]) return order(a[at], b[at]);
    }
    return 0;
}

int wcscmp(const wchar_t *a, const wchar_t *b) { return wcsncmp(a, b, SIZE_MAX); }
