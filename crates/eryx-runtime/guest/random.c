/* Seeds the generator of the module random. Methods of _eryx.
 *
 * random.seed() spreads a number over the generator's 624 words one by one, twice: a third of what an execution without anything to
 * do took. Here the words come from a generator that is faster, seeded by the host: they are all random, as they are once
 * random.seed() is done. */
#include "eryx.h"

#include <string.h>

enum { WORDS = 624, SEED_WORDS = 4 };

/* RandomObject in CPython 3.14's Modules/_randommodule.c. is_known() tries it out when the runtime is built. */
typedef struct {
    PyObject base;
    int index;
    uint32_t state[WORDS];
} Generator;

static Generator *generator;

static uint64_t rotated(uint64_t word, int by) { return word << by | word >> (64 - by); }

/* xoshiro256++ 1.0 by Blackman and Vigna (public domain, prng.di.unimi.it). */
static void fill(Generator *into, const uint64_t *seed) {
    uint64_t s0 = seed[0], s1 = seed[1], s2 = seed[2], s3 = seed[3];
    for (size_t i = 0; i < WORDS; i += 2) {
        uint64_t word = rotated(s0 + s3, 23) + s0, shifted = s1 << 17;
        s2 ^= s0;
        s3 ^= s1;
        s1 ^= s2;
        s0 ^= s3;
        s2 ^= shifted;
        s3 = rotated(s3, 45);
        memcpy(&into->state[i], &word, sizeof word);
    }
    /* All are used: the next number makes new ones. */
    into->index = WORDS;
}

/* Whether getstate() tells the words that are where we look for them. */
static int is_known(PyObject *object) {
    uint64_t seed[SEED_WORDS] = {1, 2, 3, 4};
    fill((Generator *)object, seed);
    PyObject *state = PyObject_CallMethod(object, "getstate", NULL), *words = state ? PyTuple_GetItem(state, 1) : NULL;
    int known = words && PyTuple_Size(words) == WORDS + 1;
    for (Py_ssize_t i = 0; known && i < WORDS; i++) {
        unsigned long long word = (unsigned long long)PyLong_AsLongLong(PyTuple_GetItem(words, i));
        known = word == ((Generator *)object)->state[i];
    }
    known = known && PyLong_AsLong(PyTuple_GetItem(words, WORDS)) == WORDS;
    if (state) Py_DecRef(state);
    return known;
}

/* set_generator(random._inst): the one that is seeded. Image time only. */
PyObject *eryx_set_generator(PyObject *module, PyObject *object) {
    if (generator) return PyErr_Format(eryx_type_error, "the generator is set already");
    if (!is_known(object)) return PyErr_Format(eryx_type_error, "random.Random is not laid out as in CPython 3.14");
    Py_IncRef(object);
    generator = (Generator *)object;
    return eryx_none();
}

/* reseed(32 bytes) */
PyObject *eryx_reseed(PyObject *module, PyObject *bytes) {
    uint64_t seed[SEED_WORDS];
    char *data;
    Py_ssize_t size;
    if (PyBytes_AsStringAndSize(bytes, &data, &size)) return NULL;
    if (size != sizeof seed || !generator) return PyErr_Format(eryx_type_error, "a seed has 32 bytes");
    memcpy(seed, data, sizeof seed);
    fill(generator, seed);
    return eryx_none();
}
