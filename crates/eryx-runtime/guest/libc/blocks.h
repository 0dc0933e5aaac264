/* Memory in blocks of 16 bytes, for the functions that search and compare.
 *
 * An aligned block of 16 or 64 bytes that has one byte in linear memory lies in it as a whole: memory is a multiple of
 * 64 KiB (WebAssembly core specification, "Memory Instances"). So a search may load the whole block that its first or its
 * last byte is in; what is outside of the text is masked out. tests/guest/string_test.c searches at memory's end. */
#ifndef ERYX_BLOCKS_H
#define ERYX_BLOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <wasm_simd128.h>

enum { BLOCK = 16, LINE = 64, WASM_PAGE = 65536 };

static inline const uint8_t *align_down(const void *at, size_t to) { return (const uint8_t *)((uintptr_t)at & ~(to - 1)); }
static inline size_t offset_in(const void *at, size_t block) { return (uintptr_t)at & (block - 1); }

/* Words at any address. */
typedef uint64_t __attribute__((aligned(1), may_alias)) loose_64;
typedef uint32_t __attribute__((aligned(1), may_alias)) loose_32;

static inline v128_t load(const void *at) { return wasm_v128_load(at); }

/* One bit for each byte that is equal. */
static inline uint32_t equal_bytes(v128_t a, v128_t b) { return wasm_i8x16_bitmask(wasm_i8x16_eq(a, b)); }
/* The same for each wide character: four bits. */
static inline uint32_t equal_wides(v128_t a, v128_t b) { return wasm_i32x4_bitmask(wasm_i32x4_eq(a, b)); }

static inline uint32_t first(uint32_t mask) { return (uint32_t)__builtin_ctz(mask); }
static inline uint32_t last(uint32_t mask) { return 31 - (uint32_t)__builtin_clz(mask); }

/* How many bytes may be read from `at` without leaving memory: 0 to 4 GiB. */
static inline uint64_t readable(const void *at) { return (uint64_t)__builtin_wasm_memory_size(0) * WASM_PAGE - (uintptr_t)at; }

#endif
