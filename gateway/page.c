#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gateway/gateway.h"
#include "gateway/handlers.h"

static const struct {
    const char *suffix;
    const char *type;
} types[] = {
    { ".html", "text/html; charset=utf-8" },
    { ".js", "text/javascript; charset=utf-8" },
    { ".css", "text/css; charset=utf-8" },
    { ".svg", "image/svg+xml" },
    { ".png", "image/png" },
    { ".ico", "image/x-icon" },
};

/* What a page may load: its own files, nothing from elsewhere, nothing inline. */
#define CONTENT_POLICY                                                                                                 \
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "   \
    "form-action 'self'; frame-ancestors 'none'"

/* The content type of a plain file name; NULL when we do not serve such. */
static const char *type_of (const char *name)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    size_t len = strlen (name);
    if (len == 0 || len > 64 || name[0] == '.' || strspn (name, allowed) != len)
        return NULL;
    for (size_t at = 0; at < sizeof types / sizeof types[0]; at++) {
        size_t suffix = strlen (types[at].suffix);
        if (len > suffix && strcmp (name + len - suffix, types[at].suffix) == 0)
            return types[at].type;
    }
    return NULL;
}

static int open_page (const char *dir, const char *name, struct stat *info)
{
    buf_t path = { 0 };
    buf_printf (&path, "%s/%s", dir, name);
    int fd = open (path.ptr, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    buf_fini (&path);
    if (fd >= 0 && (fstat (fd, info) != 0 || !S_ISREG (info->st_mode))) {
        close (fd);
        return -1;
    }
    return fd;
}

void page_handle (request_t *request)
{
    const char *name = strcmp (request->path, "/") == 0 ? "index.html" : request->path + 1;
    const char *type = type_of (name);
    struct stat info;
    int fd = type ? open_page (request->gateway->options->web, name, &info) : -1;
    if (fd < 0) {
        request_fail (request, ERR_NO_SUCH_PATH, NULL, NULL);
        return;
    }
    struct MHD_Response *response = MHD_create_response_from_fd64 ((uint64_t)info.st_size, fd);
    MHD_add_response_header (response, "Content-Type", type);
    MHD_add_response_header (response, "Cache-Control", "no-cache");
    MHD_add_response_header (response, "X-Content-Type-Options", "nosniff");
    MHD_add_response_header (response, "Referrer-Policy", "no-referrer");
    MHD_add_response_header (response, "Content-Security-Policy", CONTENT_POLICY);
    request_answer (request, MHD_HTTP_OK, response);
}
