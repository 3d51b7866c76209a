// Counts the allocations of a program that this is linked into. The executable's functions go before those of the shared C
// library (ld.so(8)), whose own stay within reach under their second names (glibc, malloc/malloc.c). Nothing here allocates:
// the counters are the executable's own thread-local storage.
#include "AllocationCounting.h"

#include <errno.h>
#include <stddef.h>

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

static _Thread_local unsigned long count;
static _Thread_local unsigned long freed;

unsigned long allocationsOfThisThread(void) { return count; }

long blocksKeptByThisThread(void) { return (long)(count - freed); }

void *malloc(size_t size) {
    count++;
    return __libc_malloc(size);
}

void *calloc(size_t number, size_t size) {
    count++;
    return __libc_calloc(number, size);
}

void *realloc(void *block, size_t size) {
    count++;
    if (block != NULL) freed++;
    return __libc_realloc(block, size);
}

void free(void *block) {
    if (block != NULL) freed++;
    __libc_free(block);
}

void *aligned_alloc(size_t alignment, size_t size) {
    count++;
    return __libc_memalign(alignment, size);
}

int posix_memalign(void **block, size_t alignment, size_t size) {
    count++;
    void *memory = __libc_memalign(alignment, size);
    if (memory == NULL) return ENOMEM;
    *block = memory;
    return 0;
}
