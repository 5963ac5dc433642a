#include "fuzz.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void fuzz_check (int truth, const char *text, const char *file, int line)
{
    if (truth)
        return;
    fprintf (stderr, "%s:%d: not true: %s\n", file, line, text);
    abort ();
}

/* ---- input ---- */

slice_t fuzz_take (slice_t *in, size_t len)
{
    slice_t taken = slice_from (in->ptr, len < in->len ? len : in->len);
    *in = slice_from (in->ptr + taken.len, in->len - taken.len);
    return taken;
}

uint64_t fuzz_64 (slice_t *in)
{
    uint64_t value = 0;
    slice_t taken = fuzz_take (in, sizeof value);
    memcpy (&value, taken.ptr, taken.len);
    return value;
}

uint16_t fuzz_16 (slice_t *in)
{
    uint16_t value = 0;
    slice_t taken = fuzz_take (in, sizeof value);
    memcpy (&value, taken.ptr, taken.len);
    return value;
}

uint8_t fuzz_byte (slice_t *in)
{
    slice_t taken = fuzz_take (in, 1);
    return taken.len ? (uint8_t)*taken.ptr : 0;
}

/* ---- files ---- */

static char folder_path[64];

static void remove_folder (void)
{
    char path[96];
    int folder = open (folder_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder >= 0)
        fuzz_empty (folder);
    snprintf (path, sizeof path, "%s", folder_path);
    rmdir (path);
}

const char *fuzz_folder (void)
{
    if (folder_path[0])
        return folder_path;
    snprintf (folder_path, sizeof folder_path, "%s/gleaner-fuzz-XXXXXX",
              access ("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
    CHECK (mkdtemp (folder_path));
    atexit (remove_folder);
    return folder_path;
}

const char *fuzz_file (slice_t bytes)
{
    static char path[96];
    static int fd = -1;
    if (fd < 0) {
        snprintf (path, sizeof path, "%s/file", fuzz_folder ());
        fd = open (path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        CHECK (fd >= 0);
    }
    CHECK (ftruncate (fd, 0) == 0 && pwrite (fd, bytes.ptr, bytes.len, 0) == (ssize_t)bytes.len);
    return path;
}

int fuzz_empty (int folder)
{
    DIR *dir = fdopendir (folder); /* its own from now on */
    int count = 0;
    CHECK (dir);
    for (struct dirent *entry = readdir (dir); entry; entry = readdir (dir)) {
        struct stat info;
        if (strcmp (entry->d_name, ".") == 0 || strcmp (entry->d_name, "..") == 0)
            continue;
        count++;
        CHECK (fstatat (folder, entry->d_name, &info, AT_SYMLINK_NOFOLLOW) == 0);
        CHECK (S_ISDIR (info.st_mode) || S_ISREG (info.st_mode));
        if (S_ISDIR (info.st_mode)) {
            int inside = openat (folder, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
            CHECK (inside >= 0);
            count += fuzz_empty (inside);
        }
        CHECK (unlinkat (folder, entry->d_name, S_ISDIR (info.st_mode) ? AT_REMOVEDIR : 0) == 0);
    }
    closedir (dir);
    return count;
}

/* ---- messages ---- */

/* A decoded list is read item by item, and written anew. */
static void write_list (message_t *message, const field_spec_t *field, buf_t *raw)
{
    list_t *list = (list_t *)(void *)((char *)message_body (message) + field->at);
    list_t fresh = { .raw = SLICE ("") };
    for (uint32_t i = 0; i < list->count; i++) {
        message_t item;
        fault_t fault;
        CHECK (message_list_item (list, field->item, i, &item, &fault) == ERR_NONE);
        list_writer_add (&fresh, raw, &item);
    }
    *list = fresh;
}

void fuzz_encode (const message_t *message, buf_t *out)
{
    message_t copy = *message;
    const message_spec_t *spec = message_spec (copy.type);
    buf_t raw = { 0 };
    for (size_t i = 0; i < spec->field_count; i++) {
        const list_t *list = (const list_t *)(const void *)((const char *)message_body (&copy) + spec->fields[i].at);
        if (spec->fields[i].type == FIELD_LIST && list->raw.ptr && !list->raw.len)
            write_list (&copy, &spec->fields[i], &raw);
    }
    if (raw.len)
        list_writer_split (&copy, &raw, 0);
    message_encode (&copy, out);
    buf_fini (&raw);
}
