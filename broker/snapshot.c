/* snapshot.c - a consistent copy of the record beside it, made a megabyte a turn while everything goes on. */
#include <stdio.h>
#include <sys/stat.h>

#include "broker/broker.h"
#include "proto/log.h"

enum { PATH_SIZE = 4096 + 32 };

void snapshot_begin (broker_t *self, uint64_t request)
{
    if (self->snapshot || self->disk_full) {
        broker_reply_error (self, request, self->snapshot ? ERR_BUSY : ERR_DISK_FULL);
        return;
    }
    self->snapshot = request;
    self->again = true;
}

void snapshot_tick (broker_t *self)
{
    if (!self->snapshot)
        return;
    char path[PATH_SIZE];
    struct stat info = { 0 };
    snprintf (path, sizeof path, "%s/" SNAPSHOT_FILE, self->folder);
    int state = self->store->ops->snapshot_step (self->store, path);
    self->again = true;
    if (!state)
        return;
    uint64_t request = self->snapshot;
    self->snapshot = 0;
    if (state < 0 || stat (path, &info) != 0) {
        broker_reply_error (self, request, ERR_INTERNAL);
        return;
    }
    log_event (LEVEL_INFO, "snapshot-made", "%s, %lld bytes", path, (long long)info.st_size);
    message_t answer;
    message_init (&answer, MSG_BROKER_SNAPSHOT_OK);
    answer.broker_snapshot_ok.file = SLICE (SNAPSHOT_FILE);
    answer.broker_snapshot_ok.bytes = (int64_t)info.st_size;
    broker_reply (self, request, &answer, NULL);
}
