#include "secret.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OTHERS = S_IRWXG | S_IRWXO };

/* 0 or an errno. */
static int read_all (int fd, buf_t *out)
{
    buf_reserve (out, SECRET_FILE_MAX + 1);
    while (out->len <= SECRET_FILE_MAX) {
        ssize_t got = read (fd, out->ptr + out->len, SECRET_FILE_MAX + 1 - out->len);
        if (got == 0)
            break;
        if (got < 0 && errno != EINTR)
            return errno;
        out->len += got > 0 ? (size_t)got : 0;
    }
    if (out->len > SECRET_FILE_MAX)
        return EFBIG;
    out->ptr[out->len] = '\0';
    return 0;
}

bool secret_is_private (const char *path, mode_t mode)
{
    const char *folder = getenv ("CREDENTIALS_DIRECTORY");
    size_t len = folder ? strlen (folder) : 0;
    bool passed = len && strncmp (path, folder, len) == 0 && path[len] == '/' && !strchr (path + len + 1, '/');
    return !(mode & (mode_t)(passed ? OTHERS & ~S_IRGRP : OTHERS));
}

bool secret_read (const char *path, buf_t *out, char *problem, size_t problem_size)
{
    struct stat info = { 0 };
    int fd = open (path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    int error = fd < 0 || fstat (fd, &info) != 0 ? errno : !S_ISREG (info.st_mode) ? EINVAL : 0;
    bool open_to_all = !error && !secret_is_private (path, info.st_mode);
    if (!error && !open_to_all)
        error = read_all (fd, out);
    if (fd >= 0)
        close (fd);
    if (error)
        snprintf (problem, problem_size, "cannot read '%.300s': %s.", path,
                  error == EINVAL ? "it is no plain file" : strerror (error));
    else if (open_to_all)
        snprintf (problem, problem_size, "'%.300s' is a secret, and others than its owner may use it: chmod 600 %.300s",
                  path, path);
    if (error || open_to_all)
        secret_fini (out);
    return !error && !open_to_all;
}

static int write_all (int fd, slice_t content)
{
    while (content.len) {
        ssize_t put = write (fd, content.ptr, content.len);
        if (put < 0 && errno != EINTR)
            return errno;
        if (put > 0)
            content = slice_from (content.ptr + put, content.len - (size_t)put);
    }
    return fsync (fd) == 0 ? 0 : errno;
}

static int sync_folder (const char *path)
{
    char *copy = xstrdup (path);
    int fd = open (dirname (copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free (copy);
    if (fd < 0)
        return errno;
    int error = fsync (fd) == 0 ? 0 : errno;
    close (fd);
    return error;
}

int secret_write (const char *path, slice_t content)
{
    buf_t part = { 0 };
    buf_printf (&part, "%s.part", path);
    unlink (part.ptr); /* one that is left over may be open to others */
    int fd = open (part.ptr, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR);
    int error = fd < 0 ? errno : write_all (fd, content);
    if (fd >= 0 && close (fd) != 0 && !error)
        error = errno;
    if (!error && rename (part.ptr, path) != 0)
        error = errno;
    if (error && fd >= 0)
        unlink (part.ptr);
    buf_fini (&part);
    return error ? error : sync_folder (path);
}

void secret_fini (buf_t *secret)
{
    if (secret->ptr)
        sodium_memzero (secret->ptr, secret->cap);
    buf_fini (secret);
}
