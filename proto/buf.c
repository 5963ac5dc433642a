#include "buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

slice_t slice_of (const char *text)
{
    return (slice_t){ text, text ? strlen (text) : 0 };
}

slice_t slice_from (const void *ptr, size_t len)
{
    return (slice_t){ ptr ? ptr : "", len };
}

bool slice_eq (slice_t a, slice_t b)
{
    if (!a.ptr || !b.ptr)
        return a.ptr == b.ptr;
    return a.len == b.len && memcmp (a.ptr, b.ptr, a.len) == 0;
}

bool slice_eq_str (slice_t a, const char *text)
{
    return slice_eq (a, slice_of (text));
}

char *slice_dup (slice_t s)
{
    if (!s.ptr)
        return NULL;
    char *copy = xcalloc (s.len + 1, 1);
    memcpy (copy, s.ptr, s.len);
    return copy;
}

static bool is_blank (char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

slice_t slice_trim (slice_t s)
{
    while (s.len && is_blank (s.ptr[0]))
        s = slice_from (s.ptr + 1, s.len - 1);
    while (s.len && is_blank (s.ptr[s.len - 1]))
        s.len--;
    return s;
}

bool slice_copy (slice_t s, char *out, size_t size)
{
    out[0] = '\0';
    if (s.len >= size)
        return false;
    if (s.ptr)
        memcpy (out, s.ptr, s.len);
    out[s.len] = '\0';
    return true;
}

static void out_of_memory (void)
{
    static const char text[] = "out of memory\n";
    fwrite (text, 1, sizeof text - 1, stderr);
    _Exit (EX_OSERR);
}

void *xcalloc (size_t count, size_t size)
{
    void *ptr = calloc (count ? count : 1, size ? size : 1);
    if (!ptr)
        out_of_memory ();
    return ptr;
}

void *xrealloc (void *ptr, size_t size)
{
    void *grown = realloc (ptr, size ? size : 1);
    if (!grown)
        out_of_memory ();
    return grown;
}

char *xstrdup (const char *text)
{
    return slice_dup (slice_of (text));
}

void buf_fini (buf_t *self)
{
    free (self->ptr);
    *self = (buf_t){ 0 };
}

void buf_clear (buf_t *self)
{
    self->len = 0;
}

void buf_reserve (buf_t *self, size_t more)
{
    size_t need = self->len + more + 1;
    if (need <= self->cap)
        return;
    size_t cap = self->cap ? self->cap : 256;
    while (cap < need)
        cap *= 2;
    self->ptr = xrealloc (self->ptr, cap);
    self->cap = cap;
}

void buf_append (buf_t *self, const void *ptr, size_t len)
{
    buf_reserve (self, len);
    if (len)
        memcpy (self->ptr + self->len, ptr, len);
    self->len += len;
    self->ptr[self->len] = '\0';
}

void buf_append_str (buf_t *self, const char *text)
{
    buf_append (self, text, strlen (text));
}

void buf_printf (buf_t *self, const char *format, ...)
{
    va_list args;
    va_list again;
    va_start (args, format);
    va_copy (again, args);
    int len = vsnprintf (NULL, 0, format, args);
    va_end (args);
    if (len > 0) {
        buf_reserve (self, (size_t)len);
        vsnprintf (self->ptr + self->len, (size_t)len + 1, format, again);
        self->len += (size_t)len;
    }
    va_end (again);
}

slice_t buf_slice (const buf_t *self)
{
    return slice_from (self->ptr, self->len);
}
