/* Encoding and decoding of the messages that come most often, with what is usually in them. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "proto/message.h"
#include "tests/guard/guard.h"

enum { ROUNDS = 2000, TYPES = 5 };

#define JOB_ID SLICE ("job-1700000000000-000abc123")
#define TOKEN  SLICE ("0123456789abcdef0123456789abcdef")
#define SHA256 SLICE ("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef")
#define URL    SLICE ("/uploads/0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef.zip")

typedef struct {
    message_t messages[TYPES];
    buf_t attempts; /* of job-status-ok */
    buf_t frame;
    decoder_t *decoder;
} codec_t;

static void fill_create (message_t *self)
{
    message_init (self, MSG_JOB_CREATE);
    self->job_create.command = SLICE ("cmake --preset release\ncmake --build --preset release\nctest --preset release");
    self->job_create.file_url = URL;
    self->job_create.filename = SLICE ("project.zip");
    self->job_create.timeout_ms = TIMEOUT_DEFAULT_MS;
    self->job_create.name = SLICE ("nightly build");
    self->job_create.labels = SLICE ("kind=nightly\nproject=gleaner\n");
    self->job_create.env = SLICE ("CC=gcc\nLANG=C.UTF-8\n");
}

static void fill_poll_ok (message_t *self)
{
    message_init (self, MSG_JOB_POLL_OK);
    self->job_poll_ok.job_id = JOB_ID;
    self->job_poll_ok.command =
        SLICE ("cmake --preset release\ncmake --build --preset release\nctest --preset release");
    self->job_poll_ok.file_url = URL;
    self->job_poll_ok.filename = SLICE ("project.zip");
    self->job_poll_ok.attempt = 1;
    self->job_poll_ok.token = TOKEN;
    self->job_poll_ok.lease_ms = 60000;
    self->job_poll_ok.timeout_ms = TIMEOUT_DEFAULT_MS;
    self->job_poll_ok.output_max = OUTPUT_MAX_DEFAULT;
}

static void fill_result (message_t *self)
{
    message_init (self, MSG_JOB_RESULT);
    self->job_result.job_id = JOB_ID;
    self->job_result.worker_id = SLICE ("worker-1");
    self->job_result.attempt = 1;
    self->job_result.token = TOKEN;
    self->job_result.exit_code = 0;
    self->job_result.stdout_data = SLICE ("100% tests passed, 0 tests failed out of 40\n");
    self->job_result.stderr_data = SLICE ("");
    self->job_result.journal_data = SLICE ("0 phase download\n12 phase run\n95 phase report\n");
    self->job_result.stdout_sha256 = SHA256;
    self->job_result.stderr_sha256 = SHA256;
}

static void fill_heartbeat (message_t *self)
{
    message_init (self, MSG_WORKER_HEARTBEAT);
    self->worker_heartbeat.worker_id = SLICE ("worker-1");
    self->worker_heartbeat.load_percent = 37;
    self->worker_heartbeat.memory_bytes = 16LL << 30;
    self->worker_heartbeat.memory_free_bytes = 7LL << 30;
}

static void fill_status_ok (message_t *self, buf_t *attempts)
{
    message_t entry;
    message_init (&entry, MSG_ATTEMPT_ENTRY);
    entry.attempt_entry.attempt = 1;
    entry.attempt_entry.status = SLICE ("completed");
    entry.attempt_entry.worker_id = SLICE ("worker-1");
    entry.attempt_entry.exit_code = 0;
    entry.attempt_entry.started_at = GUARD_WALL_MS + 10;
    entry.attempt_entry.completed_at = GUARD_WALL_MS + 110;
    message_init (self, MSG_JOB_STATUS_OK);
    msg_job_status_ok_t *out = &self->job_status_ok;
    list_writer_add (&out->attempts, attempts, &entry);
    out->job_id = JOB_ID;
    out->status = SLICE ("completed");
    out->worker_id = SLICE ("worker-1");
    out->command = SLICE ("cmake --preset release\ncmake --build --preset release\nctest --preset release");
    out->file_url = URL;
    out->filename = SLICE ("project.zip");
    out->stdout_data = SLICE ("100% tests passed, 0 tests failed out of 40\n");
    out->stderr_data = SLICE ("");
    out->exit_code = 0;
    out->attempt = 1;
    out->name = SLICE ("nightly build");
    out->labels = SLICE ("kind=nightly\nproject=gleaner\n");
    out->stdout_bytes = 44;
    out->stderr_bytes = 0;
    out->max_attempts = 3;
    out->timeout_ms = TIMEOUT_DEFAULT_MS;
    out->created_at = GUARD_WALL_MS;
    out->started_at = GUARD_WALL_MS + 10;
    out->completed_at = GUARD_WALL_MS + 110;
}

static void *set_up (const char *folder)
{
    (void)folder;
    codec_t *self = xcalloc (1, sizeof *self);
    fill_create (&self->messages[0]);
    fill_poll_ok (&self->messages[1]);
    fill_result (&self->messages[2]);
    fill_heartbeat (&self->messages[3]);
    fill_status_ok (&self->messages[4], &self->attempts);
    for (int i = 0; i < TYPES; i++)
        self->messages[i].id = SLICE ("\xce\x00\x01\x02\x03"); /* msgpack of a number */
    self->decoder = decoder_new ();
    return self;
}

static void run (void *ctx)
{
    codec_t *self = ctx;
    for (int i = 0; i < ROUNDS * TYPES; i++) {
        message_t out;
        fault_t fault;
        buf_clear (&self->frame);
        message_encode (&self->messages[i % TYPES], &self->frame);
        err_t err = message_decode (self->decoder, buf_slice (&self->frame), FRAME_MAX, &out, &fault);
        assert (!err && out.type == self->messages[i % TYPES].type);
    }
}

static void tear_down (void **self_p)
{
    codec_t *self = *self_p;
    buf_fini (&self->attempts);
    buf_fini (&self->frame);
    decoder_destroy (&self->decoder);
    free (self);
    *self_p = NULL;
}

const guard_scenario_t guard_codec = { .name = "codec", .set_up = set_up, .run = run, .tear_down = tear_down };
