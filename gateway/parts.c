#include "gateway/parts.h"

#include <assert.h>
#include <string.h>

#include "proto/message.h"
#include "proto/nearest.h"

enum { WORD_MAX = 32 /* bytes of a number or a mode */ };

static const char *const own[PART_FIRST_OPTION] = { "file", "commands", "mode" };

static const field_spec_t *option_of (int part)
{
    return &message_spec (MSG_JOB_CREATE)->fields[part - PART_FIRST_OPTION];
}

/* Fields of a job-create that the gateway fills in. */
static bool is_hidden (const char *name)
{
    static const char *const hidden[] = { "command", "deltaUrl", "machine" };
    for (size_t at = 0; at < sizeof hidden / sizeof *hidden; at++)
        if (strcmp (name, hidden[at]) == 0)
            return true;
    return false;
}

int parts_count (void)
{
    int count = PART_FIRST_OPTION + (int)message_spec (MSG_JOB_CREATE)->field_count;
    assert (count <= PARTS_MAX);
    return count;
}

const char *part_name (int part)
{
    return part < PART_FIRST_OPTION ? own[part] : option_of (part)->name;
}

int part_find (const char *name)
{
    for (int part = 0; part < parts_count (); part++)
        if (strcmp (name, part_name (part)) == 0)
            return is_hidden (name) ? -1 : part;
    return -1;
}

bool part_is_many (int part)
{
    return part >= PART_FIRST_OPTION && (option_of (part)->type == FIELD_MAP || option_of (part)->type == FIELD_TEXTS ||
                                         option_of (part)->type == FIELD_ROWS);
}

bool part_is_rows (int part)
{
    return part >= PART_FIRST_OPTION && option_of (part)->type == FIELD_ROWS;
}

size_t part_max (int part)
{
    if (part < PART_FIRST_OPTION)
        return part == PART_COMMANDS ? COMMAND_MAX : WORD_MAX;
    const field_spec_t *field = option_of (part);
    if (field->type == FIELD_STR)
        return (size_t)field->limit;
    /* As JSON it may be longer than what it says. */
    return part_is_many (part) ? 2 * (size_t)field->limit : WORD_MAX;
}

const char *part_nearest (const char *name)
{
    nearest_t nearest = nearest_begin (slice_of (name));
    for (int part = 0; part < parts_count (); part++)
        if (!is_hidden (part_name (part)))
            nearest_try (&nearest, part_name (part));
    return nearest.known;
}

bool boundary_good (slice_t type)
{
    static const char name[] = "boundary=";
    char text[512];
    slice_copy (type, text, sizeof text);
    const char *at = strcasestr (text, name);
    if (!at || type.len >= sizeof text)
        return false;
    at += sizeof name - 1;
    size_t len = *at == '"' ? strcspn (at + 1, "\"") : strcspn (at, "; \t,");
    return len > 0 && len <= BOUNDARY_MAX;
}
