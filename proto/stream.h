/* stream.h - the streams of bytes that an attempt leaves; code that treats them alike loops over them. */
#ifndef GLEANER_STREAM_H
#define GLEANER_STREAM_H

#include <stdbool.h>

#include "buf.h"

typedef enum {
    STREAM_STDOUT,
    STREAM_STDERR,
    STREAM_JOURNAL,                        /* its worker's: what happened when (rule 33 of README.md) */
    STREAM_PRINTED_COUNT = STREAM_JOURNAL, /* those before it are what its commands print */
    STREAM_COUNT
} stream_t;

/* Several of them: bits 1 << stream. */
enum { STREAMS_PRINTED = (1 << STREAM_PRINTED_COUNT) - 1, STREAMS_ALL = (1 << STREAM_COUNT) - 1 };

/* As messages and files name it. Static. */
const char *stream_name (stream_t stream);
/* False when no stream has that name. */
bool stream_find (slice_t name, stream_t *out);

#endif
