#include "broker/audit.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/log.h"

enum { PATH_SIZE = 4096 + 32, TAIL = 512 * 1024, SYNC_MS = 1000 };

#define FILE_NAME "audit.log"

typedef struct {
    int64_t number;
    char *item; /* an audit-entry, encoded */
    size_t len;
} kept_t;

struct audit {
    char *folder;
    int fd;
    int64_t bytes;
    int64_t last;    /* number of the last entry */
    int64_t sync_ms; /* INT64_MAX: nothing to sync */
    bool unsynced;
    kept_t kept[AUDIT_KEPT]; /* by number */
};

/* ---- entries in memory ---- */

static void keep (audit_t *self, const message_t *item)
{
    buf_t raw = { 0 };
    message_encode_item (item, &raw);
    kept_t *at = &self->kept[item->audit_entry.number % AUDIT_KEPT];
    free (at->item);
    *at = (kept_t){ .number = item->audit_entry.number, .item = raw.ptr, .len = raw.len };
    self->last = item->audit_entry.number;
}

list_t audit_list (const audit_t *self, int64_t before, int64_t limit, buf_t *raw)
{
    list_t list = { .raw = SLICE ("") };
    int64_t number = before <= self->last ? before - 1 : self->last;
    for (; number > 0 && list.count < limit; number--) {
        const kept_t *at = &self->kept[number % AUDIT_KEPT];
        if (at->number != number)
            break;
        buf_append (raw, at->item, at->len);
        list.count++;
    }
    if (list.count)
        list.raw = buf_slice (raw);
    return list;
}

/* ---- the file ---- */

static void path_format (const audit_t *self, int number, char path[PATH_SIZE])
{
    if (number)
        snprintf (path, PATH_SIZE, "%.4000s/" FILE_NAME ".%d", self->folder, number);
    else
        snprintf (path, PATH_SIZE, "%.4000s/" FILE_NAME, self->folder);
}

static bool open_file (audit_t *self)
{
    char path[PATH_SIZE];
    struct stat info;
    path_format (self, 0, path);
    self->fd = open (path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    bool good = self->fd >= 0 && fstat (self->fd, &info) == 0;
    self->bytes = good ? info.st_size : 0;
    return good;
}

/* The files move up by one; the last one goes. */
static void rotate (audit_t *self)
{
    char from[PATH_SIZE];
    char to[PATH_SIZE];
    fdatasync (self->fd);
    close (self->fd);
    for (int number = AUDIT_FILES - 1; number > 0; number--) {
        path_format (self, number - 1, from);
        path_format (self, number, to);
        rename (from, to);
    }
    if (!open_file (self))
        log_event (LEVEL_ERROR, "audit-lost", "cannot open %s/" FILE_NAME ": %s", self->folder, strerror (errno));
}

static slice_t member (const json_t *object, const char *name)
{
    const json_t *value = json_object_get (object, name);
    return json_is_string (value) ? slice_from (json_string_value (value), json_string_length (value)) : SLICE_ABSENT;
}

/* A line that cannot be read, as the first of a piece of the file may be, is passed over. */
static void take_line (audit_t *self, const char *line, size_t len)
{
    json_t *object = json_loadb (line, len, JSON_REJECT_DUPLICATES, NULL);
    message_t item;
    fault_t fault;
    message_init (&item, MSG_AUDIT_ENTRY);
    msg_audit_entry_t *out = &item.audit_entry;
    out->number = json_integer_value (json_object_get (object, "number"));
    out->time = json_integer_value (json_object_get (object, "time"));
    out->identity = member (object, "identity");
    out->name = member (object, "name");
    out->role = member (object, "role");
    out->from = member (object, "from");
    out->what = member (object, "what");
    out->subject = member (object, "subject");
    out->outcome = member (object, "outcome");
    if (out->number > self->last && !message_check (&item, &fault))
        keep (self, &item);
    json_decref (object);
}

static void read_tail (audit_t *self)
{
    buf_t text = { 0 };
    int64_t from = self->bytes > TAIL ? self->bytes - TAIL : 0;
    buf_reserve (&text, TAIL);
    ssize_t got = pread (self->fd, text.ptr, TAIL, from);
    char *end = text.ptr + (got > 0 ? got : 0);
    for (char *line = text.ptr; line < end;) {
        char *stop = memchr (line, '\n', (size_t)(end - line));
        if (!stop)
            break;
        take_line (self, line, (size_t)(stop - line));
        line = stop + 1;
    }
    buf_fini (&text);
}

audit_t *audit_new (const char *folder, char *problem, size_t problem_size)
{
    audit_t *self = xcalloc (1, sizeof *self);
    self->folder = xstrdup (folder);
    self->sync_ms = INT64_MAX;
    if (!open_file (self)) {
        snprintf (problem, problem_size, "cannot open '%.900s/" FILE_NAME "': %s.", folder, strerror (errno));
        audit_destroy (&self);
        return NULL;
    }
    read_tail (self);
    return self;
}

void audit_destroy (audit_t **self_p)
{
    audit_t *self = *self_p;
    if (!self)
        return;
    if (self->fd >= 0) {
        fdatasync (self->fd);
        close (self->fd);
    }
    for (int i = 0; i < AUDIT_KEPT; i++)
        free (self->kept[i].item);
    free (self->folder);
    free (self);
    *self_p = NULL;
}

/* ---- adding ---- */

static slice_t cut (slice_t text, size_t most)
{
    return text.len > most ? slice_from (text.ptr, utf8_cut (text, most)) : text;
}

static void set_text (json_t *object, const char *name, slice_t text)
{
    if (text.ptr)
        json_object_set_new (object, name, json_stringn (text.ptr, text.len));
}

static void write_line (audit_t *self, const msg_audit_entry_t *entry)
{
    json_t *object = json_object ();
    json_object_set_new (object, "number", json_integer (entry->number));
    json_object_set_new (object, "time", json_integer (entry->time));
    set_text (object, "identity", entry->identity);
    set_text (object, "name", entry->name);
    set_text (object, "role", entry->role);
    set_text (object, "from", entry->from);
    set_text (object, "what", entry->what);
    set_text (object, "subject", entry->subject);
    set_text (object, "outcome", entry->outcome);
    buf_t line = { 0 };
    char *text = json_dumps (object, JSON_COMPACT);
    buf_append_str (&line, text ? text : "{}");
    buf_append_str (&line, "\n");
    if (write (self->fd, line.ptr, line.len) != (ssize_t)line.len)
        log_event (LEVEL_ERROR, "audit-lost", "an entry could not be written: %s", strerror (errno));
    self->bytes += (int64_t)line.len;
    self->unsynced = true;
    buf_fini (&line);
    free (text);
    json_decref (object);
}

void audit_add (audit_t *self, const audit_entry_t *entry)
{
    message_t item;
    message_init (&item, MSG_AUDIT_ENTRY);
    msg_audit_entry_t *out = &item.audit_entry;
    out->number = self->last + 1;
    out->time = entry->time_ms;
    out->identity = cut (entry->id, ID_MAX);
    out->name = cut (entry->name, NAME_MAX_BYTES);
    out->role = slice_of (role_name (entry->role));
    out->from = cut (entry->from, NAME_MAX_BYTES);
    out->what = entry->what;
    out->subject = cut (entry->subject, ID_MAX);
    out->outcome = entry->outcome;
    if (self->bytes >= AUDIT_BYTES_MAX)
        rotate (self);
    write_line (self, out);
    keep (self, &item);
}

void audit_tick (audit_t *self, int64_t now_ms)
{
    if (self->unsynced && self->sync_ms == INT64_MAX)
        self->sync_ms = now_ms + SYNC_MS;
    if (self->sync_ms > now_ms)
        return;
    if (fdatasync (self->fd) != 0)
        log_event (LEVEL_ERROR, "audit-lost", "cannot sync: %s", strerror (errno));
    self->unsynced = false;
    self->sync_ms = INT64_MAX;
}

int64_t audit_deadline (const audit_t *self)
{
    return self->unsynced && self->sync_ms == INT64_MAX ? 0 : self->sync_ms; /* its time is not yet set */
}
