/* archive_delta.h - a delta over its base: which entries of the two ZIPs there are in the end (rule 44 of
 * proto/README.md). */
#ifndef GLEANER_WORKER_ARCHIVE_DELTA_H
#define GLEANER_WORKER_ARCHIVE_DELTA_H

#include "proto/buf.h"
#include "worker/zip_index.h"

enum { DELTA_REMOVED_MAX = 16 * 1024 * 1024 }; /* bytes of the list of what is to be removed */

/* Marks as `gone` what of the base is not to be unpacked, and checks what is left of both as one archive is checked;
 * `*archive_bytes` is the length of both together, and becomes that without what goes. Both indexes are parts
 * (zip_index_read_part); `removed` is what the delta's list holds. False with `refusal` filled: BAD_DELTA when the two
 * do not fit, or a code of every archive. */
bool archive_delta_apply (zip_index_t *base, const zip_index_t *delta, slice_t removed, int64_t *archive_bytes,
                          const archive_limits_t *limits, archive_refusal_t *refusal);

#endif
