/* asset.h - the rules for a file of the page: what its name says, which of its codings a client gets. Pure. */
#ifndef GATEWAY_ASSET_H
#define GATEWAY_ASSET_H

#include <stdbool.h>

#include "proto/buf.h"

/* How a file lies in the folder: as it is, as NAME.gz, as NAME.br. */
typedef enum { CODING_IDENTITY, CODING_GZIP, CODING_BROTLI, CODING_COUNT } coding_t;

enum { ASSET_NAME_MAX = 128, ASSET_TAG_BYTES = 16, ASSET_TAG_SIZE = 2 * ASSET_TAG_BYTES + 3 };

/* The content type of a plain file name; NULL when we do not serve such. NAME.gz and NAME.br are not among them: they
 * are codings of NAME and no files of their own. */
const char *asset_type (const char *name);

/* True for NAME-HASH.EXT: a name that stands for one content for good. */
bool asset_hashed (const char *name);

/* The codings that an Accept-Encoding header admits, the best first; returns how many. CODING_IDENTITY is always one of
 * them, at the end when the client does not want it: an answer is better than none (RFC 9110, 12.5.3). An absent header
 * admits nothing else. */
int asset_codings (slice_t accept, coding_t out[CODING_COUNT]);
/* The token of Content-Encoding and the suffix of the file's name; NULL and "" for CODING_IDENTITY. */
const char *coding_token (coding_t coding);
const char *coding_suffix (coding_t coding);

/* A strong entity tag, with its quotes, of these bytes: the same at every gateway. */
void asset_tag (slice_t bytes, char out[ASSET_TAG_SIZE]);
/* True when an If-None-Match header names the tag. */
bool asset_tag_listed (slice_t header, const char *tag);

#endif
