/* Copies and fills: memcpy, memmove, memset and the functions for text that end in one of them.
 *
 * The instructions `memory.copy` and `memory.fill` take 4 ns for up to 128 bytes in wasmtime, less than code of our own at any
 * length. The compiler makes them of these built-in functions; examples/c_library.rs measures what comes of it. */
#include <string.h>

void *memmove(void *target, const void *source, size_t size) { return __builtin_memmove(target, source, size); }
void *memcpy(void *restrict target, const void *restrict source, size_t size) { return __builtin_memcpy(target, source, size); }
void *memset(void *target, int value, size_t size) { return __builtin_memset(target, value, size); }
void *mempcpy(void *restrict target, const void *restrict source, size_t size) { return (char *)memmove(target, source, size) + size; }

char *stpcpy(char *restrict target, const char *restrict source) {
    size_t size = strlen(source);
    memmove(target, source, size + 1);
    return target + size;
}
char *__stpcpy(char *restrict target, const char *restrict source) { return stpcpy(target, source); }

char *strcpy(char *restrict target, const char *restrict source) { return memmove(target, source, strlen(source) + 1); }

/* Fills up with zeros to `size`, which need not leave room for one. */
char *stpncpy(char *restrict target, const char *restrict source, size_t size) {
    size_t length = strnlen(source, size);
    memmove(target, source, length);
    memset(target + length, 0, size - length);
    return target + length;
}
char *__stpncpy(char *restrict target, const char *restrict source, size_t size) { return stpncpy(target, source, size); }

char *strncpy(char *restrict target, const char *restrict source, size_t size) {
    stpncpy(target, source, size);
    return target;
}

char *strcat(char *restrict target, const char *restrict source) {
    strcpy(target + strlen(target), source);
    return target;
}

char *strncat(char *restrict target, const char *restrict source, size_t most) {
    char *end = mempcpy(target + strlen(target), source, strnlen(source, most));
    *end = '\0';
    return target;
}
