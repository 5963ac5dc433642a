#include "broker/requests.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    uint32_t generation; /* of the handle that is, or was, here; never 0 */
    uint32_t next_free;
    request_t *request; /* NULL: free */
} place_t;

struct requests {
    place_t *places;
    uint32_t count, cap;
    uint32_t free_at; /* 1 + index of the first free place; 0: none */
};

requests_t *requests_new (void)
{
    return xcalloc (1, sizeof (requests_t));
}

static void request_free (request_t *request)
{
    if (request)
        free (request->speaker);
    free (request);
}

void requests_destroy (requests_t **self_p)
{
    requests_t *self = *self_p;
    if (!self)
        return;
    for (uint32_t i = 0; i < self->count; i++)
        request_free (self->places[i].request);
    free (self->places);
    free (self);
    *self_p = NULL;
}

static place_t *free_place (requests_t *self, uint32_t *index)
{
    if (self->free_at) {
        *index = self->free_at - 1;
        self->free_at = self->places[*index].next_free;
        return &self->places[*index];
    }
    if (self->count == REQUESTS_MAX)
        return NULL;
    if (self->count == self->cap) {
        self->cap = self->cap ? 2 * self->cap : 256;
        self->places = xrealloc (self->places, self->cap * sizeof *self->places);
    }
    *index = self->count++;
    self->places[*index] = (place_t){ .generation = 1 };
    return &self->places[*index];
}

uint64_t request_open (requests_t *self, msg_type_t type, slice_t routing, slice_t id)
{
    uint32_t index = 0;
    place_t *place = free_place (self, &index);
    if (!place)
        return 0;
    request_t *request = xcalloc (1, sizeof *request + routing.len + id.len);
    char *text = (char *)(request + 1);
    memcpy (text, routing.ptr, routing.len);
    request->type = type;
    request->routing = slice_from (text, routing.len);
    if (id.ptr) {
        memcpy (text + routing.len, id.ptr, id.len);
        request->id = slice_from (text + routing.len, id.len);
    }
    place->request = request;
    return (uint64_t)index << 32 | place->generation;
}

static place_t *place_of (const requests_t *self, uint64_t handle)
{
    uint32_t index = (uint32_t)(handle >> 32);
    if (index >= self->count || self->places[index].generation != (uint32_t)handle || !self->places[index].request)
        return NULL;
    return &self->places[index];
}

request_t *request_find (const requests_t *self, uint64_t handle)
{
    place_t *place = place_of (self, handle);
    return place ? place->request : NULL;
}

uint64_t request_key (slice_t key)
{
    uint64_t out = 0;
    memcpy (&out, key.ptr, key.len < sizeof out ? key.len : sizeof out);
    return out;
}

speaker_t *request_speaker (requests_t *self, uint64_t handle, const who_t *who)
{
    request_t *request = request_find (self, handle);
    speaker_t *speaker = xcalloc (1, sizeof *speaker);
    speaker->role = who->role;
    snprintf (speaker->id, sizeof speaker->id, "%s", who->id);
    snprintf (speaker->name, sizeof speaker->name, "%s", who->name);
    request->speaker = speaker;
    return speaker;
}

void request_close (requests_t *self, uint64_t handle)
{
    place_t *place = place_of (self, handle);
    if (!place)
        return;
    request_free (place->request);
    place->request = NULL;
    if (++place->generation == 0)
        place->generation = 1;
    place->next_free = self->free_at;
    self->free_at = (uint32_t)(handle >> 32) + 1;
}

uint64_t requests_next (const requests_t *self, uint32_t *at)
{
    while (*at < self->count) {
        uint32_t index = (*at)++;
        if (self->places[index].request)
            return (uint64_t)index << 32 | self->places[index].generation;
    }
    return 0;
}
