/* parts.h - the parts of POST /api/execute's form: its file, its commands and mode, and what a job-create may ask for,
 * by the names of messages.def. */
#ifndef GATEWAY_PARTS_H
#define GATEWAY_PARTS_H

#include <stdbool.h>
#include <stddef.h>

#include "proto/buf.h"

enum { PART_FILE, PART_COMMANDS, PART_MODE, PART_FIRST_OPTION, PARTS_MAX = 64 };

/* One more than the last part's number. */
int parts_count (void);
/* -1 when no part has that name. */
int part_find (const char *name);
/* Static. */
const char *part_name (int part);
/* Bytes that a part other than the file may have. */
size_t part_max (int part);
/* True for a map or a list, which may be given as JSON. */
bool part_is_many (int part);
/* True for a map whose values may be many lines. */
bool part_is_rows (int part);
/* The name that `name` was meant for; NULL when none is near. */
const char *part_nearest (const char *name);

/* Whether a Content-Type names a boundary that parts can have: of 1 to 70 bytes (RFC 2046, section 5.1.1). */
enum { BOUNDARY_MAX = 70 };
bool boundary_good (slice_t type);

#endif
