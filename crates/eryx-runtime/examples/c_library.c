/* What is measured of the C library. For wasm the host asks for one case after another; natively `main` does. */
#define _GNU_SOURCE
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <wchar.h>

#ifdef __wasm__
#define EXPORT(name) __attribute__((export_name(name)))
#else
#define EXPORT(name)
#endif

/* Calls must not be moved out of a loop, though they have no effect. */
#define KEEP __asm__ volatile("" ::: "memory")

enum { ROOM = 1 << 20, SAMPLES = 1024 };
static char *one, *two;
static double xs[SAMPLES], ys[SAMPLES], small[SAMPLES];
static volatile double sink;
static volatile size_t kept;

static char text_of_numbers[SAMPLES][32];

/* `size` characters that are not looked for, and a terminator: as bytes and as wide characters. */
static void prepare(size_t size) {
    memset(one, 'a', size + 8);
    memset(two, 'a', size + 8);
    one[size] = two[size] = 0;
}
static void prepare_wide(size_t size) {
    for (size_t i = 0; i < size; i++) ((wchar_t *)one)[i] = ((wchar_t *)two)[i] = 'a';
    ((wchar_t *)one)[size] = ((wchar_t *)two)[size] = 0;
}

/* Each case makes `times` calls on `size` bytes. */
typedef void Case(size_t size, long times);

#define BYTES(name, call) \
    static void run_##name(size_t size, long times) { \
        prepare(size); \
        for (; times; times--) { kept += (size_t)(call); KEEP; } \
    }
#define WIDES(name, call) \
    static void run_##name(size_t bytes, long times) { \
        const size_t size = bytes / sizeof(wchar_t); \
        const wchar_t *first = (wchar_t *)one, *second = (wchar_t *)two; \
        prepare_wide(size); \
        for (; times; times--) { kept += (size_t)(call); (void)second; KEEP; } \
    }
#define MATH(name, call) \
    static void run_##name(size_t size, long times) { \
        double sum = 0; \
        for (; times; times--) { \
            double x = xs[times % SAMPLES], y = ys[times % SAMPLES], u = small[times % SAMPLES]; \
            (void)x, (void)y, (void)u, (void)size; \
            sum += call; \
        } \
        sink = sum; \
    }

BYTES(memchr, memchr(one, 'b', size))
BYTES(memrchr, memrchr(one, 'b', size))
BYTES(memcmp, memcmp(one, two, size))
BYTES(strlen, strlen(one))
BYTES(strnlen, strnlen(one, size))
BYTES(strchr, strchr(one, 'b'))
BYTES(strrchr, strrchr(one, 'b'))
BYTES(strcmp, strcmp(one, two))
BYTES(strncmp, strncmp(one, two, size))
BYTES(strcspn, strcspn(one, "bcd"))
BYTES(strspn, strspn(one, "abc"))
BYTES(strstr, strstr(one, "ab"))
BYTES(strcpy, strcpy(two, one))
BYTES(strncpy, strncpy(two, one, size))
BYTES(memcpy, memcpy(two, one, size))
BYTES(memmove, memmove(one + 1, one, size))
BYTES(memset, memset(two, 'c', size))
WIDES(wcslen, wcslen(first))
WIDES(wmemchr, wmemchr(first, 'b', size))
WIDES(wmemcmp, wmemcmp(first, second, size))
WIDES(wcscmp, wcscmp(first, second))
WIDES(wcschr, wcschr(first, 'b'))

MATH(exp, exp(x)) MATH(exp2, exp2(x)) MATH(expm1, expm1(x)) MATH(log, log(y)) MATH(log2, log2(y)) MATH(log10, log10(y))
MATH(log1p, log1p(y)) MATH(pow, pow(y, x)) MATH(sin, sin(x)) MATH(cos, cos(x)) MATH(tan, tan(x)) MATH(asin, asin(u))
MATH(acos, acos(u)) MATH(atan, atan(x)) MATH(atan2, atan2(x, y)) MATH(sinh, sinh(x)) MATH(cosh, cosh(x))
MATH(tanh, tanh(x)) MATH(asinh, asinh(x)) MATH(acosh, acosh(y + 1)) MATH(atanh, atanh(u)) MATH(cbrt, cbrt(x))
MATH(hypot, hypot(x, y)) MATH(fmod, fmod(y * 1e6, 7.5)) MATH(erf, erf(x)) MATH(erfc, erfc(x)) MATH(fma, fma(x, y, u))
MATH(frexp, frexp(x, &(int){0})) MATH(modf, modf(x, &(double){0})) MATH(ldexp, ldexp(x, 3)) MATH(round, round(x))
MATH(nextafter, nextafter(x, y))
MATH(strtod, strtod(text_of_numbers[times % SAMPLES], NULL))
MATH(strtol, (double)strtol("123456", NULL, 10))
MATH(snprintf_g, snprintf(one, 64, "%.17g", x))
MATH(snprintf_d, snprintf(one, 64, "%d", (int)y))

static int by_value(const void *a, const void *b) { return (*(int *)a > *(int *)b) - (*(int *)a < *(int *)b); }
static void sort(size_t size, long times, int shuffled) {
    int *values = (int *)one, count = (int)(size / sizeof(int));
    for (; times; times--) {
        for (int i = 0; i < count; i++) values[i] = shuffled ? (int)((uint32_t)i * 2654435761u) : i;
        qsort(values, (size_t)count, sizeof(int), by_value);
    }
}
static void run_qsort(size_t size, long times) { sort(size, times, 1); }
static void run_qsort_sorted(size_t size, long times) { sort(size, times, 0); }

static void run_strftime(size_t size, long times) {
    struct tm time = {.tm_year = 124, .tm_mon = 2, .tm_mday = 7, .tm_wday = 4, .tm_yday = 66};
    for (; times; times--) kept += strftime(one, 64, "%Y-%m-%d %H:%M:%S", &time);
    (void)size;
}

/* Throughput at four sizes, or the time of one call. */
#define T(name) {#name, run_##name, 1}
#define C(name) {#name, run_##name, 0}
static const struct {
    const char *name;
    Case *run;
    int sized;
} cases[] = {
    T(memchr), T(memrchr), T(memcmp), T(strlen), T(strnlen), T(strchr), T(strrchr), T(strcmp), T(strncmp), T(strcspn),
    T(strspn), T(strstr), T(strcpy), T(strncpy), T(memcpy), T(memmove), T(memset), T(wcslen), T(wmemchr), T(wmemcmp),
    T(wcscmp), T(wcschr), T(qsort), T(qsort_sorted),
    C(exp), C(exp2), C(expm1), C(log), C(log2), C(log10), C(log1p), C(pow), C(sin), C(cos), C(tan), C(asin), C(acos), C(atan),
    C(atan2), C(sinh), C(cosh), C(tanh), C(asinh), C(acosh), C(atanh), C(cbrt), C(hypot), C(fmod), C(erf), C(erfc), C(fma),
    C(frexp), C(modf), C(ldexp), C(round), C(nextafter), C(strtod), C(strtol), C(snprintf_g), C(snprintf_d), C(strftime),
};

/* The name of case `index`, behind `*` if it has sizes; NULL behind the last one. */
EXPORT("case_name") const char *case_name(unsigned index) {
    static char text[32];
    if (index >= sizeof cases / sizeof *cases) return NULL;
    snprintf(text, sizeof text, "%s%s", cases[index].sized ? "*" : "", cases[index].name);
    return text;
}

EXPORT("case_run") void case_run(unsigned index, uint32_t size, int64_t times) { cases[index].run(size, (long)times); }

EXPORT("case_prepare") void case_prepare(void) {
    one = malloc(ROOM), two = malloc(ROOM);
    uint32_t random = 1;
    for (int i = 0; i < SAMPLES; i++) {
        random = random * 1664525 + 1013904223;
        small[i] = (double)(random >> 8) / (1 << 24) * 2 - 1;
        xs[i] = small[i] * 20;
        ys[i] = fabs(small[i]) * 1000 + 0.001;
        snprintf(text_of_numbers[i], 32, "%.17g", xs[i]);
    }
}

#ifndef __wasm__
static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

/* Nanoseconds of the fastest of five runs, each of 5 ms or more: what the host does for wasm. */
static double measure(unsigned index, size_t size) {
    double best = 1e18;
    for (int64_t times = 8, runs = 0; runs < 5;) {
        double start = now();
        case_run(index, (uint32_t)size, times);
        double took = now() - start;
        if (took < 5e6) times *= 2;
        else if (runs++, took / (double)times < best) best = took / (double)times;
    }
    return best;
}

int main(void) {
    static const size_t sizes[] = {8, 64, 1024, 65536};
    case_prepare();
    const char *name;
    for (unsigned index = 0; (name = case_name(index)); index++) {
        int sized = *name == '*';
        for (int i = 0; i < (sized ? 4 : 1); i++) printf("%s %zu %f\n", name + sized, sized ? sizes[i] : 0, measure(index, sizes[i]));
    }
}
#endif
