/* arena.h - memory for texts that live as long as one step's effects; addresses stay as it grows. */
#ifndef GLEANER_ARENA_H
#define GLEANER_ARENA_H

#include "proto/buf.h"

/* Zero-initialised is valid and empty. */
typedef struct {
    struct arena_block *blocks;
} arena_t;

/* Gives everything back but one block. */
void arena_reset (arena_t *self);
void arena_fini (arena_t *self);
/* Room for `size` bytes, not zeroed, valid until arena_reset. */
char *arena_alloc (arena_t *self, size_t size);
/* A formatted text. */
slice_t arena_printf (arena_t *self, const char *format, ...) __attribute__ ((format (printf, 2, 3)));

#endif
