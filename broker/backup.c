/* backup.c - the data directory as one tar file: the record as of one moment, and every file that it may tell of.
 *
 * A broker that runs makes the copy of the record itself (broker-snapshot). Blobs never change and a finished job's
 * output does neither, so they are taken as they stand, after the record. `tar -x` into an empty folder restores it.
 */
#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/broker.h"
#include "broker/folder.h"
#include "proto/clock.h"
#include "proto/log.h"
#include "proto/program.h"

enum {
    PATH_SIZE = 4096 + 512,
    DEPTH_MAX_FOLDERS = 3, /* blobs/ab/HASH, output/ab/FILE */
    PIECE = 64 * 1024,
    PATIENCE_MS = 10 * 60 * 1000, /* a large record takes its time */
    PROBLEM_SIZE = 1024,
    LOCK_TRIES = 20,
    LOCK_PAUSE_US = 20 * 1000,
};

typedef struct {
    struct archive *tar;
    const char *folder;
    char problem[PROBLEM_SIZE];
    int64_t files;
    int64_t bytes;
} backup_t;

static bool failed (backup_t *self, const char *what, const char *why)
{
    snprintf (self->problem, sizeof self->problem, "cannot write the backup: %.500s: %.300s.", what,
              why ? why : "unknown");
    return false;
}

/* ---- the record ---- */

static void *connect_broker (void *context, const broker_options_t *options, const char *folder)
{
    char path[PATH_SIZE];
    char endpoint[FOLDER_ENDPOINT_SIZE];
    struct stat info;
    snprintf (path, sizeof path, "%.4000s/control", folder);
    bool control = stat (path, &info) == 0 && folder_control (folder, endpoint);
    void *socket = zmq_socket (context, ZMQ_REQ);
    int patience = PATIENCE_MS;
    int linger = 0;
    zmq_setsockopt (socket, ZMQ_RCVTIMEO, &patience, sizeof patience);
    zmq_setsockopt (socket, ZMQ_LINGER, &linger, sizeof linger);
    if (!control || zmq_connect (socket, endpoint) != 0)
        zmq_connect (socket, options->listen);
    return socket;
}

/* The broker that holds the folder writes the copy. */
static bool ask_broker (backup_t *self, const broker_options_t *options)
{
    char token[TOKEN_TEXT_MAX];
    void *context = zmq_ctx_new ();
    void *socket = connect_broker (context, options, self->folder);
    decoder_t *decoder = decoder_new ();
    message_t message;
    fault_t fault;
    buf_t frame = { 0 };
    zmq_msg_t answer;
    zmq_msg_init (&answer);
    auth_control_read (self->folder, token);
    message_init (&message, MSG_BROKER_SNAPSHOT);
    message.auth = slice_of (token);
    message_encode (&message, &frame);
    sodium_memzero (token, sizeof token);
    bool good = zmq_send (socket, frame.ptr, frame.len, 0) >= 0 && zmq_msg_recv (&answer, socket, 0) >= 0;
    if (!good)
        failed (self, "the running broker does not answer", zmq_strerror (errno));
    slice_t body = slice_from (zmq_msg_data (&answer), zmq_msg_size (&answer));
    if (good && message_decode (decoder, body, REPLY_MAX, &message, &fault)) {
        good = failed (self, "the running broker's answer cannot be read", fault.text);
    } else if (good && message.type == MSG_ERROR) {
        char *why = slice_dup (message.error.text);
        good = failed (self, "the running broker refuses", why);
        free (why);
    }
    zmq_msg_close (&answer);
    buf_fini (&frame);
    decoder_destroy (&decoder);
    zmq_close (socket);
    zmq_ctx_term (context);
    return good;
}

/* Nobody holds the folder: this process writes the copy. */
static bool copy_record (backup_t *self)
{
    char path[PATH_SIZE];
    char copy[PATH_SIZE];
    snprintf (path, sizeof path, "%.4000s/gleaner.db", self->folder);
    snprintf (copy, sizeof copy, "%.4000s/" SNAPSHOT_FILE, self->folder);
    store_t *store = store_sqlite_open (path, self->problem, sizeof self->problem);
    if (!store)
        return false;
    int state = 0;
    while (!state)
        state = store->ops->snapshot_step (store, copy);
    store->ops->close (&store);
    return state > 0 || failed (self, copy, "the record could not be copied");
}

/* ---- the files ---- */

static bool add_bytes (backup_t *self, int fd, int64_t size, const char *path)
{
    char piece[PIECE];
    while (size > 0) {
        ssize_t got = read (fd, piece, size < PIECE ? (size_t)size : PIECE);
        if (got <= 0)
            return failed (self, path, got < 0 ? strerror (errno) : "it became shorter");
        if (archive_write_data (self->tar, piece, (size_t)got) < 0)
            return failed (self, path, archive_error_string (self->tar));
        size -= got;
        self->bytes += got;
    }
    return true;
}

/* A file that went meanwhile was a running job's, whose output has moved into the record since. An output that grows
 * meanwhile is taken as long as it was. */
static bool add_file (backup_t *self, const char *from, const char *name)
{
    char path[PATH_SIZE];
    struct stat info;
    snprintf (path, sizeof path, "%.4000s/%.400s", self->folder, from);
    int fd = open (path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || fstat (fd, &info) != 0)
        return fd < 0 && errno == ENOENT ? true : failed (self, path, strerror (errno));
    struct archive_entry *entry = archive_entry_new ();
    archive_entry_set_pathname (entry, name);
    archive_entry_set_filetype (entry, AE_IFREG);
    archive_entry_set_perm (entry, 0600);
    archive_entry_set_size (entry, info.st_size);
    archive_entry_set_mtime (entry, info.st_mtime, 0);
    bool good =
        archive_write_header (self->tar, entry) == ARCHIVE_OK || failed (self, path, archive_error_string (self->tar));
    archive_entry_free (entry);
    good = good && add_bytes (self, fd, info.st_size, path);
    close (fd);
    self->files += good;
    return good;
}

/* Everything below a folder; recursion is bounded by `depth`. */
static bool add_folder (backup_t *self, const char *name, int depth)
{
    char path[PATH_SIZE];
    snprintf (path, sizeof path, "%.4000s/%.400s", self->folder, name);
    DIR *dir = opendir (path);
    if (!dir)
        return errno == ENOENT ? true : failed (self, path, strerror (errno));
    bool good = true;
    for (struct dirent *entry = readdir (dir); entry && good; entry = readdir (dir)) {
        char below[512];
        struct stat info;
        if (entry->d_name[0] == '.')
            continue;
        snprintf (below, sizeof below, "%.200s/%.255s", name, entry->d_name);
        bool there = fstatat (dirfd (dir), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) == 0;
        if (there && S_ISDIR (info.st_mode) && depth > 1)
            good = add_folder (self, below, depth - 1);
        else if (there && S_ISREG (info.st_mode))
            good = add_file (self, below, below);
    }
    closedir (dir);
    return good;
}

static bool write_tar (backup_t *self, int fd)
{
    self->tar = archive_write_new ();
    archive_write_set_format_pax_restricted (self->tar);
    bool good =
        archive_write_open_fd (self->tar, fd) == ARCHIVE_OK || failed (self, "tar", archive_error_string (self->tar));
    good = good && add_file (self, SNAPSHOT_FILE, "gleaner.db") && add_file (self, "identities", "identities") &&
           add_folder (self, "blobs", DEPTH_MAX_FOLDERS) && add_folder (self, "output", DEPTH_MAX_FOLDERS);
    if (good && archive_write_close (self->tar) != ARCHIVE_OK)
        good = failed (self, "tar", archive_error_string (self->tar));
    archive_write_free (self->tar);
    return good && (fsync (fd) == 0 || failed (self, "fsync", strerror (errno)));
}

/* Held while files are copied: the broker's housekeeping waits (keep.c), or it would take away what the copy refers to.
 */
static int hold_files (backup_t *self)
{
    char path[PATH_SIZE];
    snprintf (path, sizeof path, "%.4000s/" BACKUP_LOCK, self->folder);
    int fd = open (path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    for (int tries = 0; fd >= 0 && tries < LOCK_TRIES; tries++) { /* the broker's look takes it for a moment */
        if (flock (fd, LOCK_EX | LOCK_NB) == 0)
            return fd;
        usleep (LOCK_PAUSE_US);
    }
    failed (self, path, errno == EWOULDBLOCK ? "another backup is under way" : strerror (errno));
    if (fd >= 0)
        close (fd);
    return -1;
}

int backup_run (const broker_options_t *options, const char *folder, bool running)
{
    backup_t self = { .folder = folder };
    char part[PATH_SIZE];
    char snapshot[PATH_SIZE];
    snprintf (part, sizeof part, "%.4000s.part", options->backup);
    snprintf (snapshot, sizeof snapshot, "%.4000s/" SNAPSHOT_FILE, folder);
    int held = hold_files (&self);
    int fd = held >= 0 ? open (part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;
    bool good = held >= 0 && (fd >= 0 || failed (&self, part, strerror (errno)));
    good = good && (running ? ask_broker (&self, options) : copy_record (&self)) && write_tar (&self, fd);
    if (good && rename (part, options->backup) != 0)
        good = failed (&self, options->backup, strerror (errno));
    if (fd >= 0)
        close (fd);
    if (held >= 0) {
        unlink (snapshot);
        close (held);
    }
    if (!good) {
        if (fd >= 0)
            unlink (part);
        fprintf (stderr, "gleaner-broker: %s\n", self.problem);
        return 1;
    }
    printf ("%s: %lld files, %lld bytes; restore with: mkdir DIR && tar -xf %s -C DIR\n", options->backup,
            (long long)self.files, (long long)self.bytes, options->backup);
    return 0;
}
