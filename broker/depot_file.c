#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/depot_internal.h"
#include "proto/log.h"

err_t depot_failed (const char *what)
{
    int error = errno;
    log_event (LEVEL_ERROR, "depot-failed", "%s: %s", what, strerror (error));
    return error == ENOSPC || error == EDQUOT ? ERR_DISK_FULL : ERR_INTERNAL;
}

int depot_folder_open (int parent, const char *name)
{
    bool made = mkdirat (parent, name, 0700) == 0;
    if (!made && errno != EEXIST)
        return -1;
    if (made && fsync (parent) != 0) { /* the new name itself must survive a power cut */
        int error = errno;
        unlinkat (parent, name, AT_REMOVEDIR);
        errno = error;
        return -1;
    }
    return openat (parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

err_t depot_write_at (int fd, slice_t data, int64_t offset)
{
    while (data.len) {
        ssize_t written = pwrite (fd, data.ptr, data.len, offset);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return depot_failed ("write");
        data = slice_from (data.ptr + written, data.len - (size_t)written);
        offset += written;
    }
    return ERR_NONE;
}

err_t depot_read_at (int fd, int64_t offset, int64_t limit, buf_t *out)
{
    buf_reserve (out, (size_t)limit);
    while (limit > 0) {
        ssize_t got = pread (fd, out->ptr + out->len, (size_t)limit, offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return depot_failed ("read");
        if (got == 0)
            break;
        out->len += (size_t)got;
        offset += got;
        limit -= got;
    }
    return ERR_NONE;
}
