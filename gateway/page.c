#include "gateway/page.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gateway/asset.h"
#include "gateway/gateway.h"
#include "gateway/handlers.h"
#include "proto/log.h"

/* Of a file whose name has no hash, which is read whole for its tag; a larger one has none and is sent each time. */
enum { TAGGED_MAX = 1024 * 1024 };

#define NOT_BUILT                                                                                                      \
    "The page was not built: run `npm ci && npm run build` in the folder web, then name the folder build/web by "      \
    "--web."

static const struct {
    const char *name;
    const char *value;
} common_headers[] = {
    { MHD_HTTP_HEADER_VARY, MHD_HTTP_HEADER_ACCEPT_ENCODING },
    { "X-Content-Type-Options", "nosniff" },
    { "Referrer-Policy", "no-referrer" },
    { "Cross-Origin-Opener-Policy", "same-origin" },
    /* What a page may load: its own files, nothing from elsewhere, nothing inline. */
    { "Content-Security-Policy",
      "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; worker-src 'self'; "
      "manifest-src 'self'; font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'" },
    { "Permissions-Policy",
      "accelerometer=(), autoplay=(), camera=(), display-capture=(), encrypted-media=(), geolocation=(), gyroscope=(), "
      "hid=(), idle-detection=(), local-fonts=(), magnetometer=(), microphone=(), midi=(), payment=(), "
      "picture-in-picture=(), publickey-credentials-get=(), screen-wake-lock=(), serial=(), usb=(), "
      "xr-spatial-tracking=()" },
};

/* One file, opened in the coding that goes out. */
typedef struct {
    int fd; /* -1: there is no such file */
    int64_t size;
    coding_t coding;
} opened_t;

static opened_t open_coded (const char *dir, const char *name, coding_t coding)
{
    struct stat info;
    buf_t path = { 0 };
    buf_printf (&path, "%s/%s%s", dir, name, coding_suffix (coding));
    opened_t self = { .fd = open (path.ptr, O_RDONLY | O_CLOEXEC | O_NONBLOCK), .coding = coding };
    buf_fini (&path);
    if (self.fd >= 0 && (fstat (self.fd, &info) != 0 || !S_ISREG (info.st_mode))) {
        close (self.fd);
        self.fd = -1;
    }
    if (self.fd >= 0)
        self.size = info.st_size;
    return self;
}

/* The best coding that is there, of a file that is there as it is. */
static opened_t open_best (const char *dir, const char *name, slice_t accept)
{
    coding_t wanted[CODING_COUNT];
    int count = asset_codings (accept, wanted);
    opened_t plain = open_coded (dir, name, CODING_IDENTITY);
    for (int at = 0; plain.fd >= 0 && at < count && wanted[at] != CODING_IDENTITY; at++) {
        opened_t coded = open_coded (dir, name, wanted[at]);
        if (coded.fd >= 0) {
            close (plain.fd);
            return coded;
        }
    }
    return plain;
}

static bool read_whole (const opened_t *file, buf_t *out)
{
    buf_reserve (out, (size_t)file->size + 1);
    while (out->len < (size_t)file->size) {
        ssize_t got = read (file->fd, out->ptr + out->len, (size_t)file->size - out->len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false; /* somebody writes into it right now */
        out->len += (size_t)got;
    }
    return true;
}

static void answer (request_t *request, unsigned status, struct MHD_Response *response, const char *cache)
{
    for (size_t at = 0; at < sizeof common_headers / sizeof common_headers[0]; at++)
        MHD_add_response_header (response, common_headers[at].name, common_headers[at].value);
    MHD_add_response_header (response, MHD_HTTP_HEADER_CACHE_CONTROL, cache);
    request_answer (request, status, response);
}

static void add_content_headers (struct MHD_Response *response, const char *type, coding_t coding)
{
    MHD_add_response_header (response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    if (coding != CODING_IDENTITY)
        MHD_add_response_header (response, MHD_HTTP_HEADER_CONTENT_ENCODING, coding_token (coding));
}

/* A file that may be another one tomorrow: its tag tells. */
static void answer_tagged (request_t *request, const opened_t *file, const char *type)
{
    buf_t bytes = { 0 };
    bool whole = read_whole (file, &bytes);
    close (file->fd);
    if (!whole) {
        buf_fini (&bytes);
        request_fail (request, ERR_INTERNAL, NULL, NULL);
        return;
    }
    char tag[ASSET_TAG_SIZE];
    asset_tag (buf_slice (&bytes), tag);
    bool known = asset_tag_listed (request_header (request, MHD_HTTP_HEADER_IF_NONE_MATCH), tag);
    struct MHD_Response *response;
    if (known) {
        buf_fini (&bytes);
        response = MHD_create_response_from_buffer (0, NULL, MHD_RESPMEM_PERSISTENT);
    } else {
        response = MHD_create_response_from_buffer (bytes.len, bytes.ptr, MHD_RESPMEM_MUST_FREE);
        add_content_headers (response, type, file->coding);
    }
    MHD_add_response_header (response, MHD_HTTP_HEADER_ETAG, tag);
    answer (request, known ? MHD_HTTP_NOT_MODIFIED : MHD_HTTP_OK, response, "no-cache");
}

void page_handle (request_t *request)
{
    const char *name = strcmp (request->path, "/") == 0 ? "index.html" : request->path + 1;
    const char *type = asset_type (name);
    opened_t file = { .fd = -1 };
    if (type)
        file =
            open_best (request->gateway->options->web, name, request_header (request, MHD_HTTP_HEADER_ACCEPT_ENCODING));
    if (file.fd < 0) {
        request_fail (request, ERR_NO_SUCH_PATH, NULL, strcmp (name, "index.html") == 0 ? NOT_BUILT : NULL);
        return;
    }
    bool hashed = asset_hashed (name);
    if (!hashed && file.size <= TAGGED_MAX) {
        answer_tagged (request, &file, type);
        return;
    }
    struct MHD_Response *response = MHD_create_response_from_fd64 ((uint64_t)file.size, file.fd);
    add_content_headers (response, type, file.coding);
    answer (request, MHD_HTTP_OK, response, hashed ? "public, max-age=31536000, immutable" : "no-cache");
}

void page_check (const char *dir)
{
    opened_t index = open_coded (dir, "index.html", CODING_IDENTITY);
    if (index.fd < 0)
        log_event (LEVEL_WARN, "page-missing", "%s/index.html is not there. %s", dir, NOT_BUILT);
    else
        close (index.fd);
}
