#include "cli/upload.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/bar.h"
#include "cli/print.h"
#include "proto/clock.h"

enum {
    BAR_WIDTH = 30,
    LARGE = 1 << 20, /* bytes: such a file waits until the server has not refused it */
    STALL_S = 60,    /* an upload without a byte for so long has ended */
};

typedef struct {
    int fd;
    int64_t at, bytes;
} source_t;

static void show_bar (const source_t *source)
{
    if (!bar_due (source->at >= source->bytes))
        return;
    char sent[32];
    char all[32];
    char bar[BAR_WIDTH + 1];
    int filled = source->bytes ? (int)(source->at * BAR_WIDTH / source->bytes) : BAR_WIDTH;
    memset (bar, '.', BAR_WIDTH);
    memset (bar, '#', (size_t)filled);
    bar[BAR_WIDTH] = '\0';
    bytes_format (source->at, sent, sizeof sent);
    bytes_format (source->bytes, all, sizeof all);
    bar_show ("sending [%s] %s of %s ", bar, sent, all);
}

static size_t on_read (char *out, size_t size, size_t count, void *ctx)
{
    source_t *source = ctx;
    ssize_t got = pread (source->fd, out, size * count, source->at);
    if (got < 0)
        return CURL_READFUNC_ABORT;
    source->at += got;
    show_bar (source);
    return (size_t)got;
}

static int on_seek (void *ctx, curl_off_t offset, int origin)
{
    source_t *source = ctx;
    if (origin != SEEK_SET)
        return CURL_SEEKFUNC_FAIL;
    source->at = offset;
    return CURL_SEEKFUNC_OK;
}

static curl_mime *make_mime (CURL *easy, const form_t *form, const pack_t *pack, source_t *source)
{
    curl_mime *mime = curl_mime_init (easy);
    const char *name;
    json_t *value;
    json_object_foreach (form->fields, name, value)
    {
        curl_mimepart *part = curl_mime_addpart (mime);
        curl_mime_name (part, name);
        curl_mime_data (part, json_string_value (value), CURL_ZERO_TERMINATED);
    }
    curl_mimepart *part = curl_mime_addpart (mime);
    curl_mime_name (part, "commands");
    curl_mime_data (part, form->commands.ptr, form->commands.len);
    if (form->there) {
        part = curl_mime_addpart (mime);
        curl_mime_name (part, "fileUrl");
        curl_mime_data (part, form->there, CURL_ZERO_TERMINATED);
        part = curl_mime_addpart (mime);
        curl_mime_name (part, "filename");
        curl_mime_data (part, pack->name, CURL_ZERO_TERMINATED);
    }
    if (pack->fd < 0)
        return mime;
    part = curl_mime_addpart (mime);
    curl_mime_name (part, "file");
    curl_mime_filename (part, pack->name);
    curl_mime_type (part, "application/zip");
    curl_mime_data_cb (part, pack->bytes, on_read, on_seek, NULL, source);
    return mime;
}

static void send_once (client_t *client, const form_t *form, const pack_t *pack, answer_t *answer)
{
    char fault[CURL_ERROR_SIZE];
    source_t source = { .fd = pack->fd, .bytes = pack->bytes };
    bar_begin ();
    CURL *easy = client_transfer (client, "/api/execute", fault);
    curl_mime *mime = make_mime (easy, form, pack, &source);
    struct curl_slist *headers = curl_slist_append (NULL, "Expect:");
    if (pack->bytes > LARGE) { /* a refusal then comes before the bytes are sent */
        curl_slist_free_all (headers);
        headers = curl_slist_append (NULL, "Expect: 100-continue");
    }
    curl_easy_setopt (easy, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt (easy, CURLOPT_MIMEPOST, mime);
    curl_easy_setopt (easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt (easy, CURLOPT_LOW_SPEED_TIME, (long)STALL_S);
    client_perform (client, easy, answer);
    bar_wipe ();
    curl_mime_free (mime);
    curl_slist_free_all (headers);
}

/* What a server says that has lost the base meanwhile, or is none that knows deltas. */
static bool is_gone (const char *code)
{
    static const char *const codes[] = { "NO_SUCH_BLOB", "UNKNOWN_FIELD", "BAD_FILE_URL", "MISSING_FIELD" };
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (strcmp (code, codes[i]) == 0)
            return true;
    return false;
}

/* The key makes a second try safe: the job that the first one may have made is found again. */
int upload_form (client_t *client, form_t *form, const pack_t *pack, json_t **job_p)
{
    answer_t answer = { 0 };
    int status = STATUS_GOOD;
    int tries = 0;
    do
        send_once (client, form, pack, &answer);
    while (client_tries_again (&answer, ++tries));
    form->gone = form->there && answer.code && is_gone (answer.code);
    if (form->gone) {
        answer_fini (&answer);
        return STATUS_REFUSED;
    }
    *job_p = json_incref (client_need (&answer, &status));
    if (*job_p && !*text_of (*job_p, "jobId")) {
        json_decref (*job_p);
        *job_p = NULL;
        status =
            cli_say (STATUS_AWAY, "%s answers, but names no job: is the address right?", form->options->common.server);
    }
    if (status == STATUS_AWAY)
        cli_say (0, "whether there is a job now is not known; with --key %s the same submission makes no second one.",
                 json_string_value (json_object_get (form->fields, "idempotencyKey")));
    answer_fini (&answer);
    return status;
}
