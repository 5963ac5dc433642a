/* token.h - what the worker shows to its server to say who it is. */
#ifndef GLEANER_WORKER_TOKEN_H
#define GLEANER_WORKER_TOKEN_H

#include <stdbool.h>
#include <stddef.h>

/* The token in the file at `path`, which nobody else may read (NULL: none), or else in the environment variable
 * GLEANER_WORKER_TOKEN, whose value is blotted out: jobs shall not find it there. The caller frees `*token`; NULL:
 * there is none. False with one sentence in `problem`, which never holds the token. */
bool worker_token_read (const char *path, char **token, char *problem, size_t problem_size);

#endif
