#include "cli/config.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/cli.h"
#include "proto/lines.h"
#include "proto/secret.h"

enum { BYTES_MAX = 1 << 20 }; /* as much as options are read from */

int config_make_folders (const char *path)
{
    int status = STATUS_GOOD;
    char *part = xstrdup (path);
    for (char *slash = strchr (part + 1, '/'); slash && status == STATUS_GOOD; slash = strchr (slash + 1, '/')) {
        *slash = '\0';
        if (mkdir (part, 0700) != 0 && errno != EEXIST)
            status = cli_say (STATUS_LOCAL, "cannot make the folder '%s': %s.", part, strerror (errno));
        *slash = '/';
    }
    free (part);
    return status;
}

int config_write (const char *path, slice_t content)
{
    int error = secret_write (path, content);
    return error ? cli_say (STATUS_LOCAL, "cannot write '%s': %s.", path, strerror (error)) : STATUS_GOOD;
}

static int read_file (const char *path, buf_t *out)
{
    FILE *file = fopen (path, "re");
    if (!file && errno == ENOENT)
        return STATUS_GOOD;
    if (!file)
        return cli_say (STATUS_LOCAL, "cannot read '%s': %s.", path, strerror (errno));
    buf_reserve (out, BYTES_MAX + 1);
    out->len = fread (out->ptr, 1, BYTES_MAX + 1, file);
    bool good = !ferror (file) && out->len <= BYTES_MAX;
    fclose (file);
    return good ? STATUS_GOOD : cli_say (STATUS_LOCAL, "cannot read '%s': it is no text of 1 MiB at most.", path);
}

/* The entry that a line of the file sets; NULL: another one. */
static const config_line_t *entry_of (slice_t line, const config_line_t *lines, size_t count)
{
    while (line.len && isspace ((unsigned char)*line.ptr)) {
        line.ptr++;
        line.len--;
    }
    for (size_t i = 0; i < count; i++) {
        size_t len = strlen (lines[i].name);
        const char *behind = line.ptr + len;
        if (line.len <= len || memcmp (line.ptr, lines[i].name, len) != 0)
            continue;
        while (behind < line.ptr + line.len && isspace ((unsigned char)*behind))
            behind++;
        if (behind < line.ptr + line.len && *behind == '=')
            return &lines[i];
    }
    return NULL;
}

int config_set (const char *path, const config_line_t *lines, size_t count)
{
    buf_t old = { 0 };
    buf_t fresh = { 0 };
    slice_t line;
    char *real = realpath (path, NULL); /* a link stays one */
    int status = read_file (path, &old);
    for (slice_t rest = buf_slice (&old); status == STATUS_GOOD && rest.len && lines_next (&rest, &line);)
        if (!entry_of (line, lines, count))
            buf_printf (&fresh, "%.*s\n", (int)line.len, line.ptr);
    for (size_t i = 0; i < count; i++)
        if (lines[i].value)
            buf_printf (&fresh, "%s = %s\n", lines[i].name, lines[i].value);
    bool same = old.len == fresh.len && (!old.len || memcmp (old.ptr, fresh.ptr, old.len) == 0);
    if (status == STATUS_GOOD && !same)
        status = config_write (real ? real : path, buf_slice (&fresh));
    free (real);
    buf_fini (&old);
    buf_fini (&fresh);
    return status;
}
