#include "cli/temporary.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

int temporary_file (void)
{
    const char *folder = getenv ("TMPDIR");
    char path[PATH_MAX];
    if (!folder || !*folder)
        folder = "/tmp";
    snprintf (path, sizeof path, "%s/gleaner-XXXXXX", folder);
    int fd = mkostemp (path, O_CLOEXEC);
    if (fd < 0)
        cli_say (0, "cannot make a file in '%s': %s.", folder, strerror (errno));
    else
        unlink (path);
    return fd;
}
