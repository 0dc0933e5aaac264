/* Comparisons, 16 bytes at a time: memcmp, strcmp and their kin. */
#include <string.h>

#include "blocks.h"

static inline uint64_t big_endian_64(const uint8_t *at) { return __builtin_bswap64(*(const loose_64 *)at); }
static inline uint32_t big_endian_32(const uint8_t *at) { return __builtin_bswap32(*(const loose_32 *)at); }

/* The first of 16 bytes that differs decides; 0 if none does. */
static inline int compare_block(const uint8_t *a, const uint8_t *b) {
    uint32_t different = ~equal_bytes(load(a), load(b)) & 0xffff;
    return different ? a[first(different)] - b[first(different)] : 0;
}

/* Two loads of half the size or more, which may overlap. */
static int compare_short(const uint8_t *a, const uint8_t *b, size_t size) {
    if (size >= 8) {
        uint64_t x = big_endian_64(a), y = big_endian_64(b);
        if (x == y) x = big_endian_64(a + size - 8), y = big_endian_64(b + size - 8);
        return (x > y) - (x < y);
    }
    if (size >= 4) {
        uint32_t x = big_endian_32(a), y = big_endian_32(b);
        if (x == y) x = big_endian_32(a + size - 4), y = big_endian_32(b + size - 4);
        return (x > y) - (x < y);
    }
    for (; size; a++, b++, size--) {
        if (*a != *b) return *a - *b;
    }
    return 0;
}

int memcmp(const void *left, const void *right, size_t size) {
    const uint8_t *a = left, *b = right;
    if (size < BLOCK) return compare_short(a, b, size);
    for (; size >= LINE; a += LINE, b += LINE, size -= LINE) {
        v128_t p = wasm_v128_xor(load(a), load(b)), q = wasm_v128_xor(load(a + 16), load(b + 16));
        v128_t r = wasm_v128_xor(load(a + 32), load(b + 32)), s = wasm_v128_xor(load(a + 48), load(b + 48));
        if (wasm_v128_any_true(wasm_v128_or(wasm_v128_or(p, q), wasm_v128_or(r, s)))) break;
    }
    int result = 0;
    for (; size >= BLOCK; a += BLOCK, b += BLOCK, size -= BLOCK) {
        if ((result = compare_block(a, b))) return result;
    }
    /* There were 16 bytes or more: the last block begins in what is known to be equal. */
    return size ? compare_block(a + size - BLOCK, b + size - BLOCK) : 0;
}

int bcmp(const void *left, const void *right, size_t size) { return memcmp(left, right, size); }

/* A lane is zero where the texts differ or the first one ends. */
static inline v128_t ends(const uint8_t *a, const uint8_t *b) {
    v128_t block = load(a);
    return wasm_u8x16_min(block, wasm_i8x16_eq(block, load(b)));
}

int strncmp(const char *left, const char *right, size_t most) {
    const uint8_t *a = (const uint8_t *)left, *b = (const uint8_t *)right;
    /* Whole blocks may be read as long as they lie in memory. */
    const uint64_t room = readable(a > b ? a : b);
    const size_t lines = room < most ? (size_t)room : most;
    size_t at = 0;
    for (; lines - at >= LINE; at += LINE) {
        v128_t low = wasm_u8x16_min(ends(a + at, b + at), ends(a + at + 16, b + at + 16));
        v128_t high = wasm_u8x16_min(ends(a + at + 32, b + at + 32), ends(a + at + 48, b + at + 48));
        if (!wasm_i8x16_all_true(wasm_u8x16_min(low, high))) break;
    }
    for (; at < most && room - at >= BLOCK; at += BLOCK) {
        uint32_t stop = equal_bytes(ends(a + at, b + at), wasm_i8x16_splat(0));
        if (stop) return first(stop) < most - at ? a[at + first(stop)] - b[at + first(stop)] : 0;
    }
    for (; at < most; at++) {
        if (a[at] != b[at] || !a[at]) return a[at] - b[at];
    }
    return 0;
}

int strcmp(const char *left, const char *right) { return strncmp(left, right, SIZE_MAX); }
int strcoll(const char *left, const char *right) { return strcmp(left, right); }
