#include "cli/artifacts.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/bar.h"
#include "cli/commands.h"
#include "cli/print.h"
#include "cli/temporary.h"
#include "proto/glob.h"
#include "proto/lines.h"
#include "worker/zip_index.h"

enum { PATH_MAX_BYTES = 512, BLOCK = 64 * 1024, STALL_S = 60, ERROR_BODY = 65536 };
enum { ZIP_MORE = 64 << 20 }; /* bytes that a ZIP may be longer than the files in it */

/* ---- fetching ---- */

typedef struct {
    CURL *easy;
    int fd;
    int64_t taken; /* bytes */
    int64_t left;  /* that may still come */
    int fault;     /* errno of a write */
    buf_t refusal;
} sink_t;

static void show_bar (const sink_t *sink)
{
    char taken[32];
    char all[32];
    curl_off_t length = -1;
    if (!bar_due (false))
        return;
    curl_easy_getinfo (sink->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    bytes_format (sink->taken, taken, sizeof taken);
    bytes_format (length, all, sizeof all);
    bar_show ("receiving %s%s%s ", taken, length < 0 ? "" : " of ", length < 0 ? "" : all);
}

static size_t on_bytes (char *bytes, size_t size, size_t count, void *ctx)
{
    sink_t *sink = ctx;
    long status = 0;
    size_t len = size * count;
    curl_easy_getinfo (sink->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200) {
        if (sink->refusal.len + len <= ERROR_BODY)
            buf_append (&sink->refusal, bytes, len);
        return len;
    }
    sink->left -= (int64_t)len;
    if (sink->left < 0) {
        sink->fault = EFBIG;
        return 0;
    }
    for (size_t at = 0; at < len;) {
        ssize_t put = write (sink->fd, bytes + at, len - at);
        if (put < 0 && errno != EINTR) {
            sink->fault = errno;
            return 0;
        }
        at += put > 0 ? (size_t)put : 0;
    }
    sink->taken += (int64_t)len;
    show_bar (sink);
    return len;
}

static int fetched (client_t *client, const sink_t *sink, CURLcode code, const char *fault)
{
    long status = 0;
    int result = STATUS_GOOD;
    char *refusal_code = NULL;
    char *text = NULL;
    buf_t why = { 0 };
    curl_easy_getinfo (sink->easy, CURLINFO_RESPONSE_CODE, &status);
    if (sink->fault) {
        result = cli_say (STATUS_LOCAL, "the artifacts cannot be written: %s.", strerror (sink->fault));
    } else if (code != CURLE_OK) {
        client_fault (client, code, fault, &why);
        result = cli_say (STATUS_AWAY, "%.*s", (int)why.len, why.ptr);
    } else if (status != 200) {
        client_refusal (client, status, buf_slice (&sink->refusal), &refusal_code, &text);
        result = cli_say (answer_status (&(answer_t){ .status = status }), "%s", text);
    }
    free (refusal_code);
    free (text);
    buf_fini (&why);
    return result;
}

static int fetch_into (client_t *client, const char *job, int fd, int64_t max)
{
    char fault[CURL_ERROR_SIZE];
    buf_t path = { 0 };
    buf_append_str (&path, "/api/jobs/artifacts");
    path_add (&path, "jobId", slice_of (job));
    sink_t sink = { .easy = client_transfer (client, path.ptr, fault), .fd = fd, .left = max };
    curl_easy_setopt (sink.easy, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt (sink.easy, CURLOPT_WRITEDATA, &sink);
    curl_easy_setopt (sink.easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt (sink.easy, CURLOPT_LOW_SPEED_TIME, (long)STALL_S);
    bar_begin ();
    CURLcode code = curl_easy_perform (sink.easy);
    bar_wipe ();
    int status = fetched (client, &sink, code, fault);
    curl_easy_cleanup (sink.easy);
    buf_fini (&sink.refusal);
    buf_fini (&path);
    return status;
}

/* ---- unpacking ---- */

/* A relative path without "." and "..", whose folders this makes one from the other. The folder that the file goes
 * into, open, and its name; -1 with errno. */
static int open_parent (int top, char *path, const char **name)
{
    int folder = fcntl (top, F_DUPFD_CLOEXEC, 0);
    char *rest = path;
    for (char *slash; folder >= 0 && (slash = strchr (rest, '/')); rest = slash + 1) {
        *slash = '\0';
        errno = EINVAL;
        bool good = *rest && strcmp (rest, ".") != 0 && strcmp (rest, "..") != 0;
        if (good && mkdirat (folder, rest, 0777) != 0)
            good = errno == EEXIST;
        int next = good ? openat (folder, rest, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
        int code = errno;
        close (folder);
        folder = next;
        errno = code;
    }
    *name = rest;
    if (folder >= 0 && (!*rest || strcmp (rest, ".") == 0 || strcmp (rest, "..") == 0)) {
        close (folder);
        errno = EINVAL;
        return -1;
    }
    return folder;
}

/* A worker sends what it likes: what was not asked for, a hook of git's, say, must not come into somebody's folder. */
static bool was_asked_for (const char *path, const char *patterns)
{
    slice_t rest = slice_of (patterns);
    slice_t line;
    bool found = false;
    while (!found && lines_next (&rest, &line)) {
        char *pattern = slice_dup (line);
        found = glob_match (pattern, path);
        free (pattern);
    }
    return found;
}

/* `left`: bytes that may still come of all files together; a ZIP can hold far more than it is long. */
static bool copy_data (struct archive *zip, int fd, int64_t *left)
{
    static char block[BLOCK];
    ssize_t got;
    while ((got = archive_read_data (zip, block, sizeof block)) > 0) {
        *left -= got;
        if (*left < 0) {
            errno = EFBIG;
            return false;
        }
        for (ssize_t at = 0; at < got;) {
            ssize_t put = write (fd, block + at, (size_t)(got - at));
            if (put < 0 && errno != EINTR)
                return false;
            at += put > 0 ? put : 0;
        }
    }
    errno = got < 0 ? EIO : 0;
    return got == 0;
}

/* `whole` is its path, or NULL. */
static bool unpack_file (struct archive *zip, struct archive_entry *entry, const char *whole, int top, int64_t *left)
{
    char path[4096];
    char temporary[64];
    const char *name = NULL;
    if (!whole || strlen (whole) >= sizeof path) {
        cli_say (0, "a file among the artifacts has no name that can be used here.");
        return false;
    }
    snprintf (path, sizeof path, "%s", whole);
    snprintf (temporary, sizeof temporary, ".gleaner-%ld", (long)getpid ());
    int folder = open_parent (top, path, &name);
    int fd = folder < 0 ? -1 : temporary_make (folder, temporary);
    struct stat made;
    bool good = fd >= 0 && copy_data (zip, fd, left) && fstat (fd, &made) == 0;
    if (good && archive_entry_perm (entry) & 0100)
        good = fchmod (fd, made.st_mode | ((made.st_mode & 0444) >> 2)) == 0;
    good = good && renameat (folder, temporary, folder, name) == 0;
    int code = errno;
    if (fd >= 0) {
        close (fd);
        if (!good)
            unlinkat (folder, temporary, 0);
        temporary_done ();
    }
    if (folder >= 0)
        close (folder);
    if (!good)
        cli_say (0, "'%.300s' cannot be written: %s.", whole, strerror (code));
    return good;
}

/* The library composes the names that it reads (NFC). They are to be as they were in the job: `number` counts entries
 * in the order of their bytes, as the index does, which is empty for a ZIP that it does not take. */
static const char *name_of (struct archive_entry *entry, const zip_index_t *index, size_t number)
{
    const char *path = archive_entry_pathname (entry);
    const char *own = number < index->count ? index->entries[number].path : NULL;
    return path && own && archive_name_same (slice_of (path), slice_of (own)) ? own : path;
}

static bool unpack_entry (struct archive *zip, struct archive_entry *entry, const char *path, int top,
                          const char *patterns, int64_t *left)
{
    if (archive_entry_filetype (entry) != AE_IFREG)
        return true;
    if (path && !was_asked_for (path, patterns)) {
        cli_say (0, "'%.300s' was not asked for, and is left out.", path);
        return true;
    }
    return unpack_file (zip, entry, path, top, left);
}

static int unpack (int fd, int top, const char *patterns, int64_t left)
{
    struct archive *zip = archive_read_new ();
    struct archive_entry *entry = NULL;
    archive_refusal_t refusal;
    zip_index_t index = { 0 };
    int status = STATUS_GOOD;
    archive_read_support_format_zip (zip);
    if (!zip_index_read_part (&index, fd, PART_BASE, &refusal))
        zip_index_fini (&index);
    int got = lseek (fd, 0, SEEK_SET) == 0 ? archive_read_open_fd (zip, fd, BLOCK) : ARCHIVE_FATAL;
    for (size_t i = 0; status == STATUS_GOOD && got == ARCHIVE_OK; i++)
        if ((got = archive_read_next_header (zip, &entry)) == ARCHIVE_OK &&
            !unpack_entry (zip, entry, name_of (entry, &index, i), top, patterns, &left))
            status = STATUS_LOCAL;
    if (status == STATUS_GOOD && got != ARCHIVE_EOF)
        status = cli_say (STATUS_LOCAL, "the artifacts cannot be unpacked: %s.", archive_error_string (zip));
    archive_read_free (zip);
    zip_index_fini (&index);
    return status;
}

int artifacts_fetch (client_t *client, const char *job, const char *folder, const char *patterns, int64_t max)
{
    int fd = temporary_file ();
    if (fd < 0)
        return STATUS_LOCAL;
    int64_t zip_max = max < INT64_MAX - ZIP_MORE ? max + ZIP_MORE : INT64_MAX; /* a server may send without an end */
    int status = fetch_into (client, job, fd, zip_max);
    if (status == STATUS_GOOD && mkdir (folder, 0777) != 0 && errno != EEXIST)
        status = cli_say (STATUS_LOCAL, "cannot make the folder '%s': %s.", folder, strerror (errno));
    int top = status == STATUS_GOOD ? open (folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (status == STATUS_GOOD && top < 0)
        status = cli_say (STATUS_LOCAL, "cannot open the folder '%s': %s.", folder, strerror (errno));
    if (status == STATUS_GOOD)
        status = unpack (fd, top, patterns, max);
    if (top >= 0)
        close (top);
    close (fd);
    return status;
}

/* ---- the command ---- */

typedef struct {
    common_t common;
    const char *job;
    const char *to;
    const char *zip;
    int64_t max;
} options_t;

static const option_t rows[] = {
    CLI_COMMON_ROWS,
    { .name = "job", .type = OPT_TEXT, .at = offsetof (options_t, job), .value = "JOB", .help = "the job" },
    { .name = "to",
      .type = OPT_TEXT,
      .at = offsetof (options_t, to),
      .fallback = ".",
      .value = "DIR",
      .help = "unpack them there" },
    { .name = "zip",
      .type = OPT_TEXT,
      .at = offsetof (options_t, zip),
      .value = "FILE",
      .help = "keep them as one ZIP in FILE, which must not be there yet" },
    { .name = "max",
      .type = OPT_BYTES,
      .at = offsetof (options_t, max),
      .fallback = "1G",
      .min = 0,
      .max = INT64_MAX,
      .value = "SIZE",
      .help = "unpack so much at most" },
};

static int fetch_zip (client_t *client, const options_t *options)
{
    int fd = temporary_make (AT_FDCWD, options->zip);
    if (fd < 0)
        return cli_say (STATUS_LOCAL, "cannot make '%s': %s.", options->zip, strerror (errno));
    int status = fetch_into (client, options->job, fd, INT64_MAX);
    if (close (fd) != 0 && status == STATUS_GOOD)
        status = cli_say (STATUS_LOCAL, "cannot write '%s': %s.", options->zip, strerror (errno));
    if (status != STATUS_GOOD)
        unlink (options->zip);
    temporary_done ();
    return status;
}

/* Into a folder come only the files that the job's patterns name. */
static int fetch_folder (client_t *client, const options_t *options)
{
    answer_t answer;
    buf_t path = { 0 };
    buf_t patterns = { 0 };
    size_t at;
    json_t *pattern;
    int status = STATUS_GOOD;
    buf_append_str (&path, "/api/jobs/status");
    path_add (&path, "jobId", slice_of (options->job));
    client_ask (client, "GET", path.ptr, NULL, &answer);
    const json_t *job = client_need (&answer, &status);
    json_array_foreach (json_object_get (job, "artifacts"), at, pattern)
    {
        if (json_is_string (pattern))
            buf_printf (&patterns, "%s\n", json_string_value (pattern));
    }
    if (job)
        status = artifacts_fetch (client, options->job, options->to, patterns.ptr ? patterns.ptr : "", options->max);
    answer_fini (&answer);
    buf_fini (&path);
    buf_fini (&patterns);
    return status;
}

const option_table_t artifacts_table = { .program = "gleaner artifacts",
                                         .summary = "fetch the files that a job has made",
                                         .rows = rows,
                                         .count = sizeof rows / sizeof *rows,
                                         .operand = "job" };

int artifacts_command (int argc, char **argv)
{
    options_t options = { 0 };
    int status = cli_parse (&artifacts_table, argc, argv, &options.common);
    if (status != OPTIONS_RUN)
        return status;
    client_t *client = client_new (&options.common);
    if (!options.job)
        status = cli_say (STATUS_USAGE, "which job? gleaner artifacts JOB");
    else
        status = options.zip ? fetch_zip (client, &options) : fetch_folder (client, &options);
    client_destroy (&client);
    cli_fini (&artifacts_table, &options.common);
    return status;
}
