/* buf.h - borrowed slices and a growing buffer. */
#ifndef GLEANER_BUF_H
#define GLEANER_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes that somebody else owns. `ptr` NULL means absent; an empty value has a non-NULL `ptr`. Not NUL-terminated. */
typedef struct {
    const char *ptr;
    size_t len;
} slice_t;

#define SLICE(literal) ((slice_t){ "" literal, sizeof (literal) - 1 })
#define SLICE_ABSENT   ((slice_t){ NULL, 0 })
#define SLICE_FMT      "%.*s"
#define SLICE_ARG(s)   (int)(s).len, (s).ptr ? (s).ptr : ""

/* Borrows a NUL-terminated string; NULL gives an absent slice. */
slice_t slice_of (const char *text);
/* Borrows `len` bytes; `ptr` may be NULL only when `len` is 0, and then the slice is present and empty. */
slice_t slice_from (const void *ptr, size_t len);
bool slice_eq (slice_t a, slice_t b);
bool slice_eq_str (slice_t a, const char *text);
/* A NUL-terminated copy; the caller frees it. NULL for an absent slice. */
char *slice_dup (slice_t s);
/* Without the blanks, tabs and ends of lines around it. */
slice_t slice_trim (slice_t s);
/* Copies `s` into `out` (NUL-terminated). False when it does not fit; `out` is then empty. */
bool slice_copy (slice_t s, char *out, size_t size);

/* A growing byte buffer. Zero-initialised is empty and valid. Memory that cannot be had ends the process (EX_OSERR):
 * the callers bound what they append. */
typedef struct {
    char *ptr;
    size_t len;
    size_t cap;
} buf_t;

void buf_fini (buf_t *self);
void buf_clear (buf_t *self);
void buf_reserve (buf_t *self, size_t more);
void buf_append (buf_t *self, const void *ptr, size_t len);
void buf_append_str (buf_t *self, const char *text);
void buf_printf (buf_t *self, const char *format, ...) __attribute__ ((format (printf, 2, 3)));
slice_t buf_slice (const buf_t *self);

/* calloc, realloc, strdup that end the process (EX_OSERR) when memory is gone. The caller frees. */
void *xcalloc (size_t count, size_t size);
void *xrealloc (void *ptr, size_t size);
char *xstrdup (const char *text);

#endif
