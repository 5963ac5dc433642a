/* Patterns of artifacts: a pattern and a path, each to its zero byte. */
#include "proto/glob.h"

#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

int LLVMFuzzerInitialize (int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    return 0;
}

static char *text_of (slice_t *in)
{
    const char *end = in->len ? memchr (in->ptr, '\0', in->len) : NULL;
    slice_t text = fuzz_take (in, end ? (size_t)(end - in->ptr) : in->len);
    fuzz_take (in, 1);
    return slice_dup (text);
}

/* As a walk would give it: single slashes, and no part that is empty, "." or "..". */
static bool is_path (const char *path)
{
    size_t len;
    for (const char *at = path;; at += len + 1) {
        len = strcspn (at, "/");
        if (!len || (len <= 2 && strspn (at, ".") >= len))
            return false;
        if (!at[len])
            return true;
    }
}

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
    slice_t in = slice_from (data, size);
    char *pattern = text_of (&in);
    char *path = text_of (&in);
    if (glob_safe (pattern) && is_path (path)) {
        bool takes = glob_match (pattern, path);
        bool plain = !strpbrk (pattern, "*?[");
        if (plain && strcmp (pattern, path) == 0)
            CHECK (takes);
        if (plain && is_path (pattern) && takes)
            CHECK (strncmp (pattern, path, strlen (pattern)) == 0);
        CHECK (glob_match ("**", path));
    }
    if (is_path (path) && !strpbrk (path, "*?[\\") && glob_safe (path))
        CHECK (glob_match (path, path));
    free (pattern);
    free (path);
    return 0;
}
