/* replay.c - runs a target once for each file it is given, or that is in a folder it is given: without libFuzzer, so
 * that seeds, and inputs that once crashed it, are tests of every build. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fuzz.h"

static int runs;

static void run_file (const char *path)
{
    FILE *file = fopen (path, "rb");
    buf_t bytes = { 0 };
    size_t got = 1;
    CHECK (file);
    while (got) {
        buf_reserve (&bytes, 4096);
        got = fread (bytes.ptr + bytes.len, 1, 4096, file);
        bytes.len += got;
    }
    fclose (file);
    /* As long as it is, so that a byte read behind it is noticed. */
    uint8_t *exact = xcalloc (1, bytes.len + !bytes.len);
    memcpy (exact, bytes.ptr, bytes.len);
    printf ("%s\n", path);
    fflush (stdout);
    LLVMFuzzerTestOneInput (exact, bytes.len);
    free (exact);
    buf_fini (&bytes);
    runs++;
}

static void run_all (const char *path)
{
    struct stat info;
    if (stat (path, &info) != 0)
        return; /* no crash is known */
    if (!S_ISDIR (info.st_mode)) {
        run_file (path);
        return;
    }
    struct dirent **entries = NULL;
    int count = scandir (path, &entries, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        char inside[4096];
        snprintf (inside, sizeof inside, "%s/%s", path, entries[i]->d_name);
        if (entries[i]->d_name[0] != '.')
            run_all (inside);
        free (entries[i]);
    }
    free (entries);
}

int main (int argc, char **argv)
{
    LLVMFuzzerInitialize (&argc, &argv);
    for (int i = 1; i < argc; i++)
        run_all (argv[i]);
    printf ("%d inputs\n", runs);
    return runs ? 0 : 1;
}
