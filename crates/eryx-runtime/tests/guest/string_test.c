/* The C library's string functions against plain ones, at all alignments, at lengths around the size of a block, and where
 * the text ends with linear memory: a load beyond that is a trap. tests/stages/c_library.rs calls the exports. */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#define EXPORT(name) __attribute__((export_name(name)))

enum { PAGE = 65536, LONGEST = 150 };

static char failure[200];
#define CHECK(condition, ...) \
    if (!(condition)) return snprintf(failure, sizeof failure, #condition ": " __VA_ARGS__), failure

static uint32_t state = 1;
static uint32_t random_below(uint32_t bound) {
    state = state * 1664525 + 1013904223;
    return (uint32_t)(((uint64_t)state * bound) >> 32);
}

/* The end of linear memory: a page that nobody else has. */
static char *memory_end(void) {
    static char *end;
    if (!end) end = (char *)((__builtin_wasm_memory_grow(0, 1) + 1) * PAGE);
    return end;
}

/* Mostly the same byte, so that searches run on; a few bytes of each kind that decides something, also with the high bit. */
static char any_byte(uint32_t rarity) {
    static const char kinds[] = {'b', 'c', (char)0xe1, (char)0x80, 0};
    return random_below(rarity) ? 'a' : kinds[random_below(sizeof kinds)];
}
static void fill(char *text, size_t size, uint32_t rarity) {
    for (size_t i = 0; i < size; i++) text[i] = any_byte(rarity);
}

static size_t index_of(const char *text, size_t size, char wanted) {
    size_t i = 0;
    while (i < size && text[i] != wanted) i++;
    return i;
}
static size_t last_index_of(const char *text, size_t size, char wanted) {
    size_t i = size;
    while (i && text[i - 1] != wanted) i--;
    return i ? i - 1 : size;
}
static int sign(int value) { return (value > 0) - (value < 0); }
static int plain_order(const char *a, const char *b, size_t size, bool texts) {
    for (size_t i = 0; i < size; i++) {
        if (a[i] != b[i]) return (unsigned char)a[i] < (unsigned char)b[i] ? -1 : 1;
        if (texts && !a[i]) return 0;
    }
    return 0;
}

/* `text` has `size` bytes, any of which may be zero. */
static const char *search_memory(const char *text, size_t size, char wanted) {
    size_t found = index_of(text, size, wanted), last = last_index_of(text, size, wanted);
    CHECK(memchr(text, wanted, size) == (found < size ? text + found : NULL), "size %zu", size);
    CHECK(memrchr(text, wanted, size) == (last < size ? text + last : NULL), "size %zu", size);
    CHECK(strnlen(text, size) == index_of(text, size, 0), "size %zu", size);
    /* A limit beyond memory, as rawmemchr would have. */
    if (found < size) CHECK(memchr(text, wanted, SIZE_MAX - (size_t)text) == text + found, "size %zu", size);
    if (index_of(text, size, 0) < size) CHECK(strnlen(text, SIZE_MAX) == index_of(text, size, 0), "size %zu", size);
    return NULL;
}

/* `text` ends with its only zero, at `size`. */
static const char *search_text(const char *text, size_t size, char wanted) {
    size_t found = index_of(text, size + 1, wanted), last = last_index_of(text, size + 1, wanted);
    CHECK(strlen(text) == size, "size %zu", size);
    CHECK(strchr(text, wanted) == (found <= size ? text + found : NULL), "size %zu", size);
    CHECK(strchrnul(text, wanted) == text + (found <= size ? found : size), "size %zu", size);
    CHECK(strrchr(text, wanted) == (last <= size ? text + last : NULL), "size %zu", size);
    return NULL;
}

static const char *spans(const char *text, size_t size) {
    static const char *const sets[] = {"", "a", "b", "ab", "bc", "\xe1\x80", "abc\xe1", "abc\xe1\x80", "AQ\x61"};
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        size_t inside = 0, outside = 0;
        while (inside < size && index_of(sets[i], strlen(sets[i]), text[inside]) < strlen(sets[i])) inside++;
        while (outside < size && index_of(sets[i], strlen(sets[i]), text[outside]) == strlen(sets[i])) outside++;
        CHECK(strspn(text, sets[i]) == inside, "set %zu size %zu", i, size);
        CHECK(strcspn(text, sets[i]) == outside, "set %zu size %zu", i, size);
        CHECK(strpbrk(text, sets[i]) == (outside < size ? text + outside : NULL), "set %zu size %zu", i, size);
    }
    return NULL;
}

static const char *finds(const char *text, size_t size) {
    static const char *const parts[] = {"", "b", "ab", "aab", "baaaaaaaaaaaaaaaaaaaaab", "aaaaaaaaaaaaaaaaab", "cb"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        size_t length = strlen(parts[i]), at = 0;
        while (at + length <= size && plain_order(text + at, parts[i], length, false)) at++;
        const char *expected = at + length <= size ? text + at : NULL;
        CHECK(strstr(text, parts[i]) == expected, "part %zu size %zu", i, size);
        CHECK(memmem(text, size, parts[i], length) == expected, "part %zu size %zu", i, size);
    }
    return NULL;
}

EXPORT("test_searches") const char *test_searches(void) {
    static const char wanted[] = {'b', 'c', (char)0xe1, (char)0x80, 0, 'z'};
    const char *failed;
    for (size_t size = 0; size < LONGEST; size++) {
        for (size_t shift = 0; shift < 20; shift++) {
            char *text = memory_end() - size - 1 - shift;
            memset(text - 64, 'b', size + 64);
            fill(text, size + 1 + shift, 8 + random_below(100));
            for (size_t i = 0; i < sizeof wanted; i++) {
                if ((failed = search_memory(text, size + 1, wanted[i]))) return failed;
            }
            for (size_t i = 0; i < size; i++) text[i] = text[i] ? text[i] : 'a';
            text[size] = 0;
            for (size_t i = 0; i < sizeof wanted; i++) {
                if ((failed = search_text(text, size, wanted[i]))) return failed;
            }
            if ((failed = spans(text, size)) || (failed = finds(text, size))) return failed;
        }
    }
    return NULL;
}

EXPORT("test_comparisons") const char *test_comparisons(void) {
    static char other[LONGEST + 64];
    for (size_t size = 0; size < LONGEST; size++) {
        for (size_t shift = 0; shift < 40; shift++) {
            char *a = memory_end() - size - 1 - shift % 20, *b = other + shift % 17;
            fill(a, size, 30 + random_below(300));
            memcpy(b, a, size);
            a[size] = b[size] = 0;
            if (size && random_below(4)) b[random_below((uint32_t)size)] = any_byte(2);
            if (shift & 1) {
                char *swap = a;
                a = b, b = swap;
            }
            int texts = plain_order(a, b, size + 1, true);
            CHECK(sign(memcmp(a, b, size)) == plain_order(a, b, size, false), "size %zu", size);
            CHECK(!bcmp(a, b, size) == !plain_order(a, b, size, false), "size %zu", size);
            CHECK(sign(strcmp(a, b)) == texts, "size %zu", size);
            CHECK(sign(strcoll(a, b)) == texts, "size %zu", size);
            size_t most = random_below((uint32_t)size + 10);
            int expected = plain_order(a, b, most < size + 1 ? most : size + 1, true);
            CHECK(sign(strncmp(a, b, most)) == expected, "size %zu most %zu", size, most);
            CHECK(sign(strncmp(a, b, SIZE_MAX)) == texts, "size %zu", size);
        }
    }
    return NULL;
}

/* Lengths around those where another way of copying begins. */
static const size_t edges[] = {0, 1, 15, 63, 127, 191, 255, 319, 500, 511, 512, 513, 1000, 1023, 1024, 2047, 5000};

EXPORT("test_copies") const char *test_copies(void) {
    enum { ROOM = 6000 };
    static char buffer[ROOM], before[ROOM];
    for (size_t i = 0; i < sizeof edges / sizeof *edges * 40; i++) {
        size_t size = edges[i / 40] + random_below(18);
        for (size_t turn = 0; turn < 40; turn++) {
            size_t from = random_below(80), to = turn & 1 ? from + random_below(20) : random_below(ROOM - 5100);
            fill(buffer, ROOM, 2);
            for (size_t at = 0; at < ROOM; at++) before[at] = buffer[at];
            CHECK(memmove(buffer + to, buffer + from, size) == buffer + to, "size %zu", size);
            for (size_t at = 0; at < ROOM; at++) {
                bool inside = at >= to && at < to + size;
                CHECK(buffer[at] == before[inside ? at - to + from : at], "size %zu from %zu to %zu at %zu", size, from, to, at);
            }
            CHECK(memset(buffer + to, 'x', size) == buffer + to, "size %zu", size);
            for (size_t at = to; at < to + size; at++) CHECK(buffer[at] == 'x', "size %zu at %zu", size, at);
            CHECK((!to || buffer[to - 1] == before[to - 1]), "size %zu to %zu", size, to);
            CHECK(mempcpy(before, buffer, size) == before + size, "size %zu", size);
        }
    }
    return NULL;
}

EXPORT("test_text_copies") const char *test_text_copies(void) {
    char target[3 * LONGEST];
    for (size_t size = 0; size < LONGEST; size++) {
        char *text = memory_end() - size - 1;
        for (size_t i = 0; i < size; i++) text[i] = 'a' + (char)(i % 26);
        text[size] = 0;
        memset(target, 'x', sizeof target);
        CHECK(stpcpy(target, text) == target + size && !plain_order(target, text, size + 1, false), "size %zu", size);
        CHECK(target[size + 1] == 'x', "size %zu", size);
        for (size_t room = 0; room < size + 20; room += 1 + room / 3) {
            memset(target, 'x', sizeof target);
            size_t kept = room < size ? room : size;
            CHECK(stpncpy(target, text, room) == target + kept, "size %zu room %zu", size, room);
            for (size_t i = 0; i < room; i++) CHECK(target[i] == (i < size ? text[i] : 0), "size %zu room %zu", size, room);
            CHECK(target[room] == 'x', "size %zu room %zu", size, room);
            strcpy(target, "head");
            CHECK(strncat(target, text, room) == target && strlen(target) == 4 + kept, "size %zu room %zu", size, room);
            CHECK(!plain_order(target + 4, text, kept, false), "size %zu room %zu", size, room);
        }
        strcat(strcpy(target, "head"), text);
        CHECK(!strcmp(target + 4, text), "size %zu", size);
        char *copy = strdup(text);
        CHECK(copy && !strcmp(copy, text), "size %zu", size);
        free(copy);
    }
    return NULL;
}

static const wchar_t *wide_index(const wchar_t *text, size_t count, wchar_t wanted) {
    for (size_t i = 0; i < count; i++) {
        if (text[i] == wanted) return text + i;
    }
    return NULL;
}
static int wide_order(const wchar_t *a, const wchar_t *b, size_t count, bool texts) {
    for (size_t i = 0; i < count; i++) {
        if (a[i] != b[i]) return a[i] < b[i] ? -1 : 1;
        if (texts && !a[i]) return 0;
    }
    return 0;
}

EXPORT("test_wides") const char *test_wides(void) {
    static wchar_t other[LONGEST + 8];
    static const wchar_t wanted[] = {'b', 0x10ffff, -1, 0, 'z'};
    for (size_t count = 0; count < LONGEST; count++) {
        for (size_t shift = 0; shift < 30; shift++) {
            wchar_t *a = (wchar_t *)memory_end() - count - 1 - shift % 6, *b = other + shift % 5;
            for (size_t i = 0; i < count; i++) a[i] = b[i] = random_below(80) ? 'a' : wanted[random_below(3)];
            a[count] = b[count] = 0;
            for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
                const wchar_t *found = wide_index(a, count + 1, wanted[i]), *last = NULL;
                for (size_t at = 0; at <= count; at++) last = a[at] == wanted[i] ? a + at : last;
                CHECK(wmemchr(a, wanted[i], count + 1) == found, "count %zu", count);
                CHECK(wcschr(a, wanted[i]) == found, "count %zu", count);
                CHECK(wcsrchr(a, wanted[i]) == last, "count %zu", count);
            }
            CHECK(wcslen(a) == count && wcsnlen(a, SIZE_MAX) == count && wcsnlen(a, count / 2) == count / 2, "count %zu", count);
            if (count && random_below(4)) b[random_below((uint32_t)count)] = wanted[random_below(4)];
            size_t most = random_below((uint32_t)count + 10);
            CHECK(sign(wmemcmp(a, b, count)) == wide_order(a, b, count, false), "count %zu", count);
            CHECK(sign(wcscmp(a, b)) == wide_order(a, b, count + 1, true), "count %zu", count);
            CHECK(sign(wcsncmp(b, a, most)) == wide_order(b, a, most < count + 1 ? most : count + 1, true), "count %zu", count);
        }
    }
    return NULL;
}

static int by_value(const void *a, const void *b) { return (*(int *)a > *(int *)b) - (*(int *)a < *(int *)b); }

EXPORT("test_numbers_and_sorting") const char *test_numbers_and_sorting(void) {
    char *end, text[64];
    errno = 0;
    CHECK(strtol("  -99999999999x", &end, 10) == LONG_MIN && errno == ERANGE && *end == 'x', "end %s", end);
    CHECK(strtoul("0x1fg", &end, 0) == 31 && *end == 'g', "end %s", end);
    CHECK(strtol("0xg", &end, 16) == 0 && *end == 'x', "end %s", end);
    CHECK(strtol("077", NULL, 0) == 63, "octal");
    CHECK(strtol("+", &end, 10) == 0 && *end == '+', "end %s", end);
    CHECK(strtod("4.9406564584124654e-324", NULL) == 0x1p-1074, "the least number");
    CHECK(strtod("9007199254740993", NULL) == 9007199254740992.0, "half to even");
    snprintf(text, sizeof text, "%.17g %.3e %#x %5.1f", 0.1, 123456.0, 255, 2.25);
    CHECK(!strcmp(text, "0.10000000000000001 1.235e+05 0xff   2.2"), "%s", text);
    /* As many comparisons as n log n needs, whatever the order was. */
    enum { COUNT = 50000 };
    int *values = malloc(COUNT * sizeof *values);
    for (int order = 0; order < 4; order++) {
        for (int i = 0; i < COUNT; i++) values[i] = order == 0 ? i : order == 1 ? -i : order == 2 ? i % 7 : (int)random_below(1 << 30);
        qsort(values, COUNT, sizeof *values, by_value);
        for (int i = 1; i < COUNT; i++) CHECK(values[i - 1] <= values[i], "order %d at %d", order, i);
    }
    free(values);
    return NULL;
}
