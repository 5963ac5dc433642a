#include "cli/temporary.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

const char *temporary_folder (void)
{
    const char *folder = getenv ("TMPDIR");
    return folder && *folder ? folder : "/tmp";
}

int temporary_file (void)
{
    const char *folder = temporary_folder ();
    char path[PATH_MAX];
    snprintf (path, sizeof path, "%s/gleaner-XXXXXX", folder);
    int fd = mkostemp (path, O_CLOEXEC);
    if (fd < 0)
        cli_say (0, "cannot make a file in '%s': %s.", folder, strerror (errno));
    else
        unlink (path);
    return fd;
}
