#include "gateway/upload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "gateway/feed.h"
#include "gateway/gateway.h"
#include "gateway/handlers.h"
#include "gateway/jsonout.h"
#include "gateway/parts.h"
#include "gateway/translate.h"
#include "proto/id.h"

enum {
    PIECES_MAX = 8,           /* in flight, of one upload */
    PIECES_MIN = 2,           /* likewise: one travels while the next is collected */
    PIECE_MIN = 64 * 1024,    /* bytes */
    PARSE_BUFFER = 32 * 1024, /* of libmicrohttpd's form parser */
    FORM_EXTRA = 1024 * 1024, /* bytes of a form beside its file */
};

/* All uploads share this much memory for what is in flight, so that many take no more than one. The broker holds as
 * much, as the bytes wait for its disk. */
enum { IN_FLIGHT_MAX = UPLOADS_MAX * PIECES_MIN * PIECE_MIN };

struct upload {
    gateway_t *gateway;
    request_t *request; /* NULL: over */
    struct MHD_PostProcessor *processor;
    char id[33];
    buf_t chunk;
    int64_t received; /* bytes of the file */
    int64_t sent;
    int64_t other; /* bytes of everything else */
    unsigned in_flight;
    bool ending;  /* the body is there: commit when nothing is in flight */
    bool settled; /* committed, or forgotten */
    bool failed;
    uint64_t seen; /* bit a part */
    int part;      /* the one that comes; -1: none yet */
    char *filename;
    buf_t fields[PARTS_MAX];
    char unknown[64]; /* name of a part that is not known */
    json_t *options;  /* those fields that are JSON */
};

static void upload_destroy (upload_t **self_p)
{
    upload_t *self = *self_p;
    *self_p = NULL;
    self->gateway->uploads--;
    for (int part = 0; part < parts_count (); part++)
        buf_fini (&self->fields[part]);
    buf_fini (&self->chunk);
    free (self->filename);
    json_decref (self->options);
    free (self);
}

void upload_detach (upload_t *self)
{
    const request_t *request = self->request;
    self->request = NULL;
    if (self->processor)
        MHD_destroy_post_processor (self->processor);
    self->processor = NULL;
    if (self->sent > 0 && !self->settled) {
        message_t message;
        message_init (&message, MSG_BLOB_ABORT);
        request_sign (request, &message);
        message.blob_abort.upload = slice_of (self->id);
        link_call (self->gateway->link, &message, &(link_order_t){ 0 });
    }
    self->settled = true;
    if (self->in_flight == 0)
        upload_destroy (&self);
}

/* Before the body's end the request is refused, after it answered. */
static void upload_fail (upload_t *self, err_t err, const char *field, const char *text)
{
    if (!self->request || self->failed)
        return;
    self->failed = true;
    if (self->ending) {
        request_fail (self->request, err, field, text);
        return;
    }
    request_refuse (self->request, err, field, text);
    request_resume (self->request);
}

static void upload_fail_message (upload_t *self, const message_t *error)
{
    char *text = error->type == MSG_ERROR ? slice_dup (error->error.text) : NULL;
    upload_fail (self, error->type == MSG_ERROR ? error_find (error->error.code) : ERR_INTERNAL, NULL, text);
    free (text);
}

/* ---- the file's way to the broker ---- */

/* Bytes of one message. */
static size_t piece_size (const upload_t *self)
{
    size_t fair = IN_FLIGHT_MAX / self->gateway->uploads / 4;
    return fair > CHUNK_MAX ? CHUNK_MAX : fair < PIECE_MIN ? PIECE_MIN : fair;
}

/* Whether as much is in flight as may be. */
static bool window_full (const upload_t *self)
{
    size_t pieces = IN_FLIGHT_MAX / self->gateway->uploads / piece_size (self);
    return self->in_flight >= (pieces > PIECES_MAX ? PIECES_MAX : pieces);
}

/* Counts a call as ended. False when nobody waits for its outcome any more, and then `self` may be gone. */
static bool call_ended (upload_t *self)
{
    self->in_flight--;
    if (self->request)
        return true;
    if (self->in_flight == 0)
        upload_destroy (&self);
    return false;
}

static void upload_call (upload_t *self, message_t *message, link_done_fn *done)
{
    link_order_t order = { .done = done, .ctx = self, .patience_ms = LINK_SLOW_MS };
    request_sign (self->request, message);
    err_t err = link_call (self->gateway->link, message, &order);
    if (err)
        upload_fail (self, err, NULL, NULL);
    else
        self->in_flight++;
}

static void create_done (void *ctx, link_end_t end, const message_t *reply)
{
    upload_t *self = ctx;
    if (!call_ended (self))
        return;
    request_t *request = self->request;
    (void)end;
    if (reply->type != MSG_JOB_CREATE_OK) {
        request_fail_message (request, reply);
        return;
    }
    slice_t job_id = reply->job_create_ok.job_id;
    if (!slice_eq_str (buf_slice (&self->fields[PART_MODE]), "distributed")) {
        direct_answer (request, job_id);
        return;
    }
    char *id = slice_dup (job_id);
    buf_t json = { 0 };
    buf_append_str (&json, "{\"success\":true,");
    jsonout_fields (&json, reply);
    buf_printf (&json,
                ",\"mode\":\"distributed\",\"message\":\"Job created\","
                "\"checkStatusUrl\":\"/api/jobs/status?jobId=%s\"}",
                id);
    struct MHD_Response *response = MHD_create_response_from_buffer (json.len, json.ptr, MHD_RESPMEM_MUST_FREE);
    MHD_add_response_header (response, "Content-Type", "application/json");
    MHD_add_response_header (response, "Cache-Control", "no-store");
    MHD_add_response_header (response, "X-Job-Id", id);
    request_answer (request, MHD_HTTP_OK, response);
    free (id);
}

static slice_t field (const upload_t *self, int part)
{
    return self->seen & UINT64_C (1) << part ? buf_slice (&self->fields[part]) : SLICE_ABSENT;
}

static bool is_json (const upload_t *self, int part)
{
    slice_t text = field (self, part);
    return part_is_many (part) && text.len && (text.ptr[0] == '{' || text.ptr[0] == '[');
}

/* A field that holds an object or a list may be JSON: then it goes by way of its table row. */
static err_t take_json (upload_t *self, int part, fault_t *fault)
{
    slice_t text = field (self, part);
    json_t *value = json_loadb (text.ptr, text.len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
    if (!value)
        return fault_set (fault, ERR_BAD_JSON, part_name (part), "`%s` is not valid JSON.", part_name (part));
    json_object_set_new (self->options, part_name (part), value);
    return 0;
}

/* Rows may be given as lines: then each is its own, and none has two. */
static slice_t option_text (upload_t *self, int part)
{
    buf_t *text = &self->fields[part];
    if (part_is_rows (part) && text->ptr[text->len - 1] != '\0') {
        for (size_t at = 0; at < text->len; at++)
            if (text->ptr[at] == '\n')
                text->ptr[at] = '\0';
        if (text->ptr[text->len - 1] != '\0')
            buf_append (text, "", 1);
    }
    return buf_slice (text);
}

static err_t read_options (upload_t *self, message_t *out, fault_t *fault)
{
    err_t err = 0;
    json_decref (self->options);
    self->options = json_object ();
    for (int part = PART_FIRST_OPTION; part < parts_count () && !err; part++) {
        if (is_json (self, part))
            err = take_json (self, part, fault);
    }
    if (!err)
        err = json_to_message (self->options, MSG_JOB_CREATE, out, NULL, fault);
    for (int part = PART_FIRST_OPTION; part < parts_count () && !err; part++) {
        slice_t text = field (self, part);
        if (text.len && !is_json (self, part))
            err = message_set_text (out, slice_of (part_name (part)), option_text (self, part), fault);
    }
    return err;
}

/* The job that the form asks for; `file_url` is that of its file, absent: it has none. Returns 0 or the fault of a
 * field. */
static err_t make_job (upload_t *self, slice_t file_url, message_t *out, fault_t *fault)
{
    err_t err = read_options (self, out, fault);
    msg_job_create_t *job = &out->job_create;
    if (!err)
        err = translate_key (self->request, out, fault);
    if (err)
        return err;
    translate_trace (self->request, out);
    job->command = field (self, PART_COMMANDS);
    if (job->file_url.ptr) /* the project is there already, and what was sent is what has changed since */
        job->delta_url = file_url;
    else
        job->file_url = file_url;
    if (self->filename)
        job->filename = slice_of (self->filename);
    else if (!job->filename.len)
        job->filename = SLICE ("project.zip");
    if (!slice_eq_str (field (self, PART_MODE), "distributed")) {
        /* Direct: on this machine, now or never. */
        job->machine = slice_of (self->gateway->machine);
        job->max_attempts = 1;
    }
    return message_check (out, fault);
}

static void create (upload_t *self, slice_t file_url)
{
    message_t message;
    fault_t fault;
    if (make_job (self, file_url, &message, &fault) != 0)
        upload_fail (self, fault.err, fault.field, fault.text);
    else
        upload_call (self, &message, create_done);
}

static void commit_done (void *ctx, link_end_t end, const message_t *reply)
{
    upload_t *self = ctx;
    (void)end;
    self->settled = true;
    if (!call_ended (self))
        return;
    if (reply->type != MSG_BLOB_COMMIT_OK) {
        upload_fail_message (self, reply);
        return;
    }
    create (self, reply->blob_commit_ok.file_url);
}

static void commit (upload_t *self)
{
    message_t message;
    message_init (&message, MSG_BLOB_COMMIT);
    message.blob_commit.upload = slice_of (self->id);
    message.blob_commit.bytes = self->sent;
    message.blob_commit.zip = true;
    upload_call (self, &message, commit_done);
}

static void put_done (void *ctx, link_end_t end, const message_t *reply)
{
    upload_t *self = ctx;
    (void)end;
    if (!call_ended (self))
        return;
    if (reply->type != MSG_BLOB_PUT_OK)
        upload_fail_message (self, reply);
    else if (self->ending && self->in_flight == 0 && !self->failed)
        commit (self);
    else if (!self->ending && !window_full (self))
        request_resume (self->request);
}

static void send_chunk (upload_t *self)
{
    message_t message;
    message_init (&message, MSG_BLOB_PUT);
    message.blob_put.upload = slice_of (self->id);
    message.blob_put.offset = self->sent;
    message.blob_put.data = buf_slice (&self->chunk);
    self->sent += (int64_t)self->chunk.len;
    upload_call (self, &message, put_done);
    buf_clear (&self->chunk);
}

/* ---- the form ---- */

static bool begins_zip (const char *bytes)
{
    return memcmp (bytes, "PK\3\4", 4) == 0 || memcmp (bytes, "PK\5\6", 4) == 0;
}

static void take_file (upload_t *self, const char *data, size_t size)
{
    size_t piece = piece_size (self);
    buf_reserve (&self->chunk, piece);
    while (size > 0 && !self->failed) {
        size_t room = self->chunk.len < piece ? piece - self->chunk.len : 0;
        size_t count = size < room ? size : room;
        buf_append (&self->chunk, data, count);
        data += count;
        size -= count;
        bool begun = self->received >= 4;
        self->received += (int64_t)count;
        if (!begun && self->received >= 4 && !begins_zip (self->chunk.ptr))
            upload_fail (self, ERR_NOT_ZIP, "file", NULL);
        else if (self->received > self->gateway->options->upload_max)
            upload_fail (self, ERR_TOO_LARGE, "file", NULL);
        else if (self->chunk.len >= piece)
            send_chunk (self);
    }
}

static void refuse_unknown (upload_t *self, const char *name)
{
    char text[192];
    const char *nearest = part_nearest (name);
    text_escape (slice_of (name), self->unknown, sizeof self->unknown);
    if (nearest)
        snprintf (text, sizeof text, "The form has no field `%s`; did you mean `%s`?", self->unknown, nearest);
    else
        snprintf (text, sizeof text, "The form has no field `%s`.", self->unknown);
    upload_fail (self, ERR_UNKNOWN_FIELD, self->unknown, text);
}

/* Whether what begins now has begun before. Of one part libmicrohttpd may say so twice, while it is still empty. */
static bool stands_twice (const upload_t *self, int part)
{
    bool filled = part == PART_FILE ? self->received > 0 : self->fields[part].len > 0;
    return self->seen & UINT64_C (1) << part && (filled || part != self->part);
}

/* A part's first bytes, or its only ones. */
static void begin_part (upload_t *self, int part, const char *filename)
{
    if (stands_twice (self, part)) {
        char text[96];
        snprintf (text, sizeof text, "`%s` stands twice in the form.", part_name (part));
        upload_fail (self, ERR_DUPLICATE_FIELD, part_name (part), text);
        return;
    }
    self->seen |= UINT64_C (1) << part;
    self->part = part;
    if (part != PART_FILE || !filename || !filename[0])
        return;
    free (self->filename);
    self->filename = xstrdup (filename);
    if (!filename_safe (slice_of (filename)))
        upload_fail (self, ERR_BAD_FILENAME, "file", NULL);
}

static void take_text (upload_t *self, int part, const char *data, size_t size)
{
    self->other += (int64_t)size;
    if (self->other > FORM_EXTRA)
        upload_fail (self, ERR_TOO_LARGE, NULL, NULL);
    else if (self->fields[part].len + size > part_max (part))
        upload_fail (self, ERR_SCHEMA, part_name (part), "A field of the form is too long.");
    else
        buf_append (&self->fields[part], data, size);
}

static enum MHD_Result take_part (void *cls, enum MHD_ValueKind kind, const char *key, const char *filename,
                                  const char *type, const char *encoding, const char *data, uint64_t at, size_t size)
{
    (void)kind;
    (void)type;
    (void)encoding;
    upload_t *self = cls;
    int part = key ? part_find (key) : -1;
    if (!key)
        upload_fail (self, ERR_BAD_MULTIPART, NULL, "A part of the form has no name.");
    else if (part < 0)
        refuse_unknown (self, key);
    else if (at == 0)
        begin_part (self, part, filename);
    if (!self->failed && part == PART_FILE)
        take_file (self, data, size);
    else if (!self->failed)
        take_text (self, part, data, size);
    return self->failed ? MHD_NO : MHD_YES;
}

void upload_begin (request_t *request, uint64_t length)
{
    gateway_t *gateway = request->gateway;
    static const char wanted[] = "multipart/form-data";
    slice_t type = request_header (request, "Content-Type");
    if (!type.ptr || type.len < sizeof wanted - 1 || strncasecmp (type.ptr, wanted, sizeof wanted - 1) != 0) {
        request_refuse (request, ERR_BAD_CONTENT_TYPE, NULL, "The body must be multipart/form-data.");
        return;
    }
    if (!boundary_good (type)) {
        request_refuse (request, ERR_BAD_MULTIPART, NULL, "The Content-Type names no boundary of 1 to 70 bytes.");
        return;
    }
    if (length > (uint64_t)gateway->options->upload_max + FORM_EXTRA) {
        request_refuse (request, ERR_TOO_LARGE, NULL, NULL);
        return;
    }
    if (gateway->uploads >= UPLOADS_MAX) {
        request_refuse (request, ERR_BUSY, NULL, NULL);
        return;
    }
    upload_t *self = xcalloc (1, sizeof *self);
    self->gateway = gateway;
    self->request = request;
    self->part = -1;
    gateway->uploads++;
    random_id_make (self->id);
    request->upload = self;
    self->processor = MHD_create_post_processor (request->connection, PARSE_BUFFER, take_part, self);
    if (!self->processor)
        upload_fail (self, ERR_BAD_MULTIPART, NULL, NULL);
}

void upload_take (upload_t *self, const char *data, size_t size)
{
    self->gateway->file_came = true;
    if (MHD_post_process (self->processor, data, size) != MHD_YES)
        upload_fail (self, ERR_BAD_MULTIPART, NULL, NULL);
    else if (window_full (self))
        request_park (self->request);
}

/* ---- the body is there ---- */

/* Browsers end the lines of a text field with CRLF. */
static void unify_lines (buf_t *text)
{
    size_t to = 0;
    for (size_t at = 0; at < text->len; at++)
        if (text->ptr[at] != '\r' || at + 1 == text->len || text->ptr[at + 1] != '\n')
            text->ptr[to++] = text->ptr[at];
    text->len = to;
}

static bool has_file (const upload_t *self)
{
    return self->seen & UINT64_C (1) << PART_FILE;
}

static bool part_given (const upload_t *self, const char *name)
{
    int part = part_find (name);
    return part >= 0 && field (self, part).len;
}

static err_t check_form (upload_t *self, fault_t *fault)
{
    slice_t mode = field (self, PART_MODE);
    if (!self->seen)
        return fault_set (fault, ERR_BAD_MULTIPART, "", "The form has no part behind the boundary that it names.");
    if (!has_file (self) && !part_given (self, "fileUrl"))
        return fault_set (fault, ERR_MISSING_FIELD, "file", "`file` is missing.");
    if (has_file (self) && self->received < 4)
        return fault_set (fault, ERR_NOT_ZIP, "file", NULL);
    if (field (self, PART_COMMANDS).len == 0)
        return fault_set (fault, ERR_MISSING_FIELD, "commands", "`commands` is missing.");
    if (mode.len && !slice_eq_str (mode, "distributed") && !slice_eq_str (mode, "direct"))
        return fault_set (fault, ERR_SCHEMA, "mode", "`mode` must be 'distributed' or 'direct'.");
    message_t job;
    return make_job (self, has_file (self) ? SLICE ("/uploads/") : SLICE_ABSENT, &job, fault);
}

void execute_handle (request_t *request)
{
    upload_t *self = request->upload;
    self->ending = true;
    enum MHD_Result whole = MHD_destroy_post_processor (self->processor);
    self->processor = NULL;
    for (int part = PART_COMMANDS; part < parts_count (); part++)
        unify_lines (&self->fields[part]);
    fault_t fault;
    err_t err = whole == MHD_YES ? 0 : fault_set (&fault, ERR_BAD_MULTIPART, "", NULL);
    if (!err)
        err = check_form (self, &fault);
    if (err) {
        upload_fail (self, err, fault.field, fault.text);
        return;
    }
    if (!has_file (self))
        create (self, SLICE_ABSENT);
    else if (self->chunk.len)
        send_chunk (self);
    else if (self->in_flight == 0)
        commit (self);
    if (!self->failed)
        request_park (request);
}
