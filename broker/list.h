/* list.h - intrusive doubly linked lists. A link is in at most one list; a zeroed link is in none. */
#ifndef GLEANER_LIST_H
#define GLEANER_LIST_H

#include <stdbool.h>
#include <stddef.h>

typedef struct link {
    struct link *prev;
    struct link *next;
} link_t;

/* Its own neighbour when empty. */
typedef struct {
    link_t head;
    size_t count;
} list_head_t;

#define LIST_ITEM(link, type, member) ((type *)(void *)((char *)(link)-offsetof (type, member)))

/* Walks from first to last; the walked item may be removed meanwhile, no other. */
#define LIST_EACH(at, list)                                                                                            \
    for (link_t *at = (list)->head.next, *at##_next = at->next; at != &(list)->head;                                   \
         at = at##_next, at##_next = at->next)

static inline void list_init (list_head_t *self)
{
    self->head.prev = self->head.next = &self->head;
    self->count = 0;
}

static inline bool list_linked (const link_t *link)
{
    return link->next != NULL;
}

static inline link_t *list_first (const list_head_t *self)
{
    return self->head.next == &self->head ? NULL : self->head.next;
}

static inline void list_insert_before (list_head_t *self, link_t *at, link_t *link)
{
    link->prev = at->prev;
    link->next = at;
    at->prev->next = link;
    at->prev = link;
    self->count++;
}

static inline void list_append (list_head_t *self, link_t *link)
{
    list_insert_before (self, &self->head, link);
}

static inline void list_prepend (list_head_t *self, link_t *link)
{
    list_insert_before (self, self->head.next, link);
}

static inline void list_remove (list_head_t *self, link_t *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
    link->prev = link->next = NULL;
    self->count--;
}

#endif
