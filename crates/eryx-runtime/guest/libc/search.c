/* Searches for a byte, 16 at a time: memchr, memrchr, strlen and their kin. Each stops at what it finds. CPython's tokenizer
 * looks for the end of a line, and takes the length of a part, in the whole rest of the source. */
#include <string.h>

#include "blocks.h"

/* `size` may be more than there is if the byte is found before. */
void *memchr(const void *text, int wanted, size_t size) {
    if (size > readable(text)) size = (size_t)readable(text);
    if (!size) return NULL;
    const v128_t byte = wasm_i8x16_splat((int8_t)wanted);
    const size_t before = offset_in(text, BLOCK);
    const uint8_t *at = align_down(text, BLOCK);
    uint32_t mask = equal_bytes(load(at), byte) >> before;
    if (mask) return first(mask) < size ? (uint8_t *)text + first(mask) : NULL;
    if (size <= BLOCK - before) return NULL;
    size -= BLOCK - before;
    for (at += BLOCK; size >= LINE; at += LINE, size -= LINE) {
        v128_t a = wasm_i8x16_eq(load(at), byte), b = wasm_i8x16_eq(load(at + 16), byte);
        v128_t c = wasm_i8x16_eq(load(at + 32), byte), d = wasm_i8x16_eq(load(at + 48), byte);
        if (wasm_v128_any_true(wasm_v128_or(wasm_v128_or(a, b), wasm_v128_or(c, d)))) break;
    }
    for (; size; at += BLOCK, size -= size < BLOCK ? size : BLOCK) {
        mask = equal_bytes(load(at), byte);
        if (mask) return first(mask) < size ? (uint8_t *)at + first(mask) : NULL;
    }
    return NULL;
}

void *memrchr(const void *text, int wanted, size_t size) {
    if (!size) return NULL;
    const v128_t byte = wasm_i8x16_splat((int8_t)wanted);
    const uint8_t *start = text, *end = start + size;
    const uint8_t *at = align_down(end - 1, BLOCK);
    /* The bits of the last block that are in the text. */
    uint32_t mask = equal_bytes(load(at), byte) & (0xffffu >> (BLOCK - (end - at)));
    for (;;) {
        if (mask) {
            const uint8_t *found = at + last(mask);
            return found >= start ? (uint8_t *)found : NULL;
        }
        while ((size_t)(at - start) >= LINE && at > start) {
            v128_t a = wasm_i8x16_eq(load(at - 16), byte), b = wasm_i8x16_eq(load(at - 32), byte);
            v128_t c = wasm_i8x16_eq(load(at - 48), byte), d = wasm_i8x16_eq(load(at - 64), byte);
            if (wasm_v128_any_true(wasm_v128_or(wasm_v128_or(a, b), wasm_v128_or(c, d)))) break;
            at -= LINE;
        }
        if (at <= start) return NULL;
        at -= BLOCK;
        mask = equal_bytes(load(at), byte);
    }
}

/* The first byte that is `wanted` or zero. A lane of `ends` is zero where one of them is. */
static inline v128_t ends(const uint8_t *at, v128_t wanted) {
    v128_t block = load(at);
    return wasm_u8x16_min(block, wasm_v128_xor(block, wanted));
}
static inline const uint8_t *find_end(const uint8_t *text, v128_t wanted) {
    const v128_t zero = wasm_i8x16_splat(0);
    const uint8_t *at = align_down(text, BLOCK);
    uint32_t mask = equal_bytes(ends(at, wanted), zero) >> (text - at);
    if (mask) return text + first(mask);
    for (at += BLOCK; offset_in(at, LINE); at += BLOCK) {
        if ((mask = equal_bytes(ends(at, wanted), zero))) return at + first(mask);
    }
    for (;; at += LINE) {
        v128_t low = wasm_u8x16_min(ends(at, wanted), ends(at + 16, wanted));
        v128_t high = wasm_u8x16_min(ends(at + 32, wanted), ends(at + 48, wanted));
        if (!wasm_i8x16_all_true(wasm_u8x16_min(low, high))) break;
    }
    while (!(mask = equal_bytes(ends(at, wanted), zero))) at += BLOCK;
    return at + first(mask);
}

size_t strlen(const char *text) { return (size_t)(find_end((const uint8_t *)text, wasm_i8x16_splat(0)) - (const uint8_t *)text); }

size_t strnlen(const char *text, size_t most) {
    const char *end = memchr(text, 0, most);
    return end ? (size_t)(end - text) : most;
}

char *strchrnul(const char *text, int wanted) { return (char *)find_end((const uint8_t *)text, wasm_i8x16_splat((int8_t)wanted)); }
char *__strchrnul(const char *text, int wanted) { return strchrnul(text, wanted); }

char *strchr(const char *text, int wanted) {
    char *found = strchrnul(text, wanted);
    return *found == (char)wanted ? found : NULL;
}

char *strrchr(const char *text, int wanted) { return memrchr(text, wanted, strlen(text) + 1); }
void *__memrchr(const void *text, int wanted, size_t size) { return memrchr(text, wanted, size); }

/* A set of bytes: byte 16 * h + l is in it if bit h of entry l is set. `low` has the bits 0 to 7 and `high` the others. */
typedef struct {
    v128_t low, high;
} Set;

static Set set_of(const char *members) {
    union {
        uint8_t entries[2][16];
        Set set;
    } bits = {0};
    for (; *members; members++) {
        uint8_t byte = (uint8_t)*members;
        bits.entries[byte >> 7][byte & 15] |= (uint8_t)(1 << (byte >> 4 & 7));
    }
    return bits.set;
}

/* One bit for each byte of a block that is in the set. */
static inline uint32_t members_at(const uint8_t *at, Set set) {
    const v128_t powers = wasm_u8x16_const(1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128);
    v128_t block = load(at), column = wasm_v128_and(block, wasm_i8x16_splat(15));
    v128_t low = wasm_i8x16_swizzle(set.low, column), high = wasm_i8x16_swizzle(set.high, column);
    v128_t row = wasm_v128_bitselect(high, low, wasm_i8x16_shr(block, 7));
    v128_t bit = wasm_i8x16_swizzle(powers, wasm_u8x16_shr(block, 4));
    return ~equal_bytes(wasm_v128_and(row, bit), wasm_i8x16_splat(0)) & 0xffff;
}

/* How many characters at the start are in `set`, or are not. */
static inline size_t span(const char *text, Set set, bool inside) {
    const uint8_t *at = align_down(text, BLOCK);
    const uint32_t flip = inside ? 0xffff : 0;
    /* The terminator ends both. */
    uint32_t mask = (members_at(at, set) ^ flip) | equal_bytes(load(at), wasm_i8x16_splat(0));
    mask >>= (const uint8_t *)text - at;
    if (mask) return first(mask);
    do {
        at += BLOCK;
        mask = (members_at(at, set) ^ flip) | equal_bytes(load(at), wasm_i8x16_splat(0));
    } while (!mask);
    return (size_t)(at + first(mask) - (const uint8_t *)text);
}

size_t strspn(const char *text, const char *set) { return span(text, set_of(set), true); }

size_t strcspn(const char *text, const char *set) {
    if (!set[0]) return strlen(text);
    if (!set[1]) return (size_t)(strchrnul(text, *set) - text);
    return span(text, set_of(set), false);
}

char *strpbrk(const char *text, const char *set) {
    text += strcspn(text, set);
    return *text ? (char *)text : NULL;
}

/* Where the first two characters of `part` are, the rest is compared. */
char *strstr(const char *text, const char *part) {
    const size_t size = strlen(part);
    if (size < 2) return size ? strchr(text, *part) : (char *)text;
    const v128_t one = wasm_i8x16_splat(part[0]), two = wasm_i8x16_splat(part[1]);
    uint64_t room = readable(text);
    for (; room > BLOCK; text += BLOCK, room -= BLOCK) {
        v128_t block = load(text);
        uint32_t end = equal_bytes(block, wasm_i8x16_splat(0));
        uint32_t mask = equal_bytes(block, one) & equal_bytes(load(text + 1), two);
        if (end) mask &= (end & -end) - 1;
        for (; mask; mask &= mask - 1) {
            const char *found = text + first(mask);
            if (!strncmp(found + 2, part + 2, size - 2)) return (char *)found;
        }
        if (end) return NULL;
    }
    while ((text = strchr(text, *part)) && strncmp(text, part, size)) text++;
    return (char *)text;
}
