/* disk.c - the data directory's disk is full, or nearly so.
 *
 * New jobs and uploads are refused with DISK_FULL as soon as little room is left, so that what is running can go on:
 * leases, output and results are small beside them. When a commit finds no room all the same, its turn is forgotten:
 * whoever waits for a word about it is refused, and the core is made anew from what is on the disk. A file that only
 * takes up room is given up then, so that cancels, results and registrations find some, whoever else has filled the
 * disk.
 */
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "broker/apply.h"
#include "broker/broker.h"
#include "proto/log.h"

enum {
    LOOK_MS = 1000,
    RESERVE_MAX = 32 * 1024 * 1024, /* bytes that must be free to take what is new, */
    RESERVE_PART = 20,              /* or this part of the disk, if that is less */
    HELD_MAX = 4 * 1024 * 1024,     /* bytes of the file that takes up room, */
    HELD_PATH_SIZE = 4096,
    HELD_PART = 16, /* or this part of the disk, if that is less */
};

/* Whether there is room for something new. */
static bool has_room (broker_t *self)
{
    struct statvfs disk;
    if (statvfs (self->folder, &disk) != 0)
        return true; /* a write will tell */
    uint64_t free_bytes = (uint64_t)disk.f_bavail * disk.f_frsize;
    uint64_t reserve = (uint64_t)disk.f_blocks * disk.f_frsize / RESERVE_PART;
    self->disk_bytes = (int64_t)((uint64_t)disk.f_blocks * disk.f_frsize);
    self->disk_free_bytes = (int64_t)free_bytes;
    return free_bytes >= (reserve < RESERVE_MAX ? reserve : RESERVE_MAX);
}

static void held_path (const broker_t *self, char path[HELD_PATH_SIZE])
{
    snprintf (path, HELD_PATH_SIZE, "%s/held-room", self->folder);
}

/* Takes up room that disk_recover can give up. */
static void hold_room (broker_t *self)
{
    char path[HELD_PATH_SIZE];
    struct statvfs disk;
    held_path (self, path);
    if (statvfs (self->folder, &disk) != 0)
        return;
    uint64_t size = (uint64_t)disk.f_blocks * disk.f_frsize / HELD_PART;
    int fd = open (path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    self->room_held = fd >= 0 && posix_fallocate (fd, 0, size < HELD_MAX ? (off_t)size : HELD_MAX) == 0;
    if (!self->room_held)
        unlink (path); /* another time */
    if (fd >= 0)
        close (fd);
}

static void give_room_up (broker_t *self)
{
    char path[HELD_PATH_SIZE];
    held_path (self, path);
    if (unlink (path) == 0)
        log_event (LEVEL_WARN, "held-room-used", "%s: the disk is full; what was held back for this is used now",
                   self->folder);
    self->room_held = false;
}

static void set_full (broker_t *self, bool full)
{
    if (self->disk_full != full)
        log_event (full ? LEVEL_ERROR : LEVEL_INFO, full ? "disk-full" : "disk-room",
                   full ? "%s: little room is left; new jobs and uploads are refused until there is more"
                        : "%s: there is room again; new jobs and uploads are taken",
                   self->folder);
    self->disk_full = full;
}

bool disk_refuses (broker_t *self, uint64_t request)
{
    if (self->disk_full)
        broker_reply_error (self, request, ERR_DISK_FULL);
    return self->disk_full;
}

bool disk_is_full (broker_t *self, bool give, bool *given)
{
    set_full (self, !has_room (self));
    *given = give && self->disk_full && self->room_held;
    if (*given)
        give_room_up (self);
    return self->disk_full;
}

void disk_tick (broker_t *self)
{
    if (self->now_ms < self->disk_due_ms)
        return;
    self->disk_due_ms = self->now_ms + LOOK_MS;
    set_full (self, !has_room (self));
    if (self->disk_full)
        self->store->ops->compact (self->store);
    else if (!self->room_held)
        hold_room (self);
}

err_t broker_load_core (broker_t *self)
{
    core_config_t config;
    core_config_default (&config);
    config.lease_ms = self->options->lease_ms;
    config.offline_ms = self->options->offline_ms;
    config.heartbeat_ms = self->options->heartbeat_ms;
    config.grace_ms = self->options->grace_ms;
    config.backoff_ms = self->options->backoff_ms;
    config.backoff_max_ms = self->options->backoff_max_ms;
    config.sleep_max_ms = self->options->sleep_max_ms;
    config.output_max = self->options->output_max;
    config.trace = self->traces != NULL;
    randombytes_buf (config.seed, sizeof config.seed);
    core_destroy (&self->core);
    self->core = core_new (&config);
    return core_rebuild (self->core, self->store, self->now_ms, self->wall_ms);
}

/* Whoever waits for a core that is gone: a poll comes back empty, anything else may be sent again. */
static void answer_waiting (broker_t *self)
{
    uint32_t at = 0;
    for (uint64_t handle = requests_next (self->requests, &at); handle; handle = requests_next (self->requests, &at)) {
        const request_t *request = request_find (self->requests, handle);
        if (request->answered || !core_handles (request->type) || request->type == MSG_JOB_OUTPUT)
            continue; /* output is with the depot, which answers it */
        message_t empty;
        message_init (&empty, MSG_JOB_POLL_OK);
        if (request->type == MSG_JOB_POLL)
            broker_reply (self, handle, &empty, NULL);
        else
            broker_reply_error (self, handle, request->type == MSG_JOB_RENEW ? ERR_BUSY : ERR_DISK_FULL);
    }
}

void disk_recover (broker_t *self)
{
    self->lost = false;
    if (self->room_held)
        give_room_up (self);
    err_t err = self->store->ops->rollback (self->store);
    if (err)
        broker_die (err);
    self->store->ops->compact (self->store);
    events_forget (self);
    measure_forget (self);
    webhooks_forget (self);
    traces_forget (self);
    keep_forget (self);
    for (depot_order_t *order = self->discards; order;) {
        depot_order_t *next = order->next;
        depot_order_destroy (&order);
        order = next;
    }
    self->discards = NULL;
    broker_outbox_refuse (self, ERR_DISK_FULL);
    answer_waiting (self);
    err = broker_load_core (self);
    if (err)
        broker_die (err);
    set_full (self, true);
    self->disk_due_ms = self->now_ms + LOOK_MS;
}
