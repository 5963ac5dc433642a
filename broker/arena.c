#include "broker/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { BLOCK_SIZE = 16 * 1024 };

struct arena_block {
    struct arena_block *next;
    size_t used;
    size_t size;
    char bytes[];
};

void arena_fini (arena_t *self)
{
    while (self->blocks) {
        struct arena_block *block = self->blocks;
        self->blocks = block->next;
        free (block);
    }
}

void arena_reset (arena_t *self)
{
    if (self->blocks && self->blocks->next)
        arena_fini (self);
    if (self->blocks)
        self->blocks->used = 0;
}

char *arena_alloc (arena_t *self, size_t size)
{
    struct arena_block *block = self->blocks;
    if (!block || block->size - block->used < size) {
        size_t room = size > BLOCK_SIZE ? size : BLOCK_SIZE;
        block = xcalloc (1, sizeof *block + room);
        block->size = room;
        block->next = self->blocks;
        self->blocks = block;
    }
    char *at = block->bytes + block->used;
    block->used += size;
    return at;
}

slice_t arena_printf (arena_t *self, const char *format, ...)
{
    va_list args;
    va_list again;
    va_start (args, format);
    va_copy (again, args);
    int len = vsnprintf (NULL, 0, format, args);
    va_end (args);
    size_t size = len > 0 ? (size_t)len : 0;
    char *text = arena_alloc (self, size + 1);
    vsnprintf (text, size + 1, format, again);
    va_end (again);
    return slice_from (text, size);
}
