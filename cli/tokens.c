#include "cli/tokens.h"

#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "cli/config.h"
#include "proto/lines.h"
#include "proto/secret.h"

enum { PROBLEM_SIZE = 2048 };

static const option_t common_rows[] = { CLI_COMMON_ROWS };

/* ---- servers ---- */

/* SCHEME://HOST:PORT/PATH in one spelling, for buf_fini; empty: it is no address. */
static void spell_server (const char *server, buf_t *out)
{
    static const struct {
        CURLUPart part;
        unsigned flags;
        const char *before;
    } parts[] = { { CURLUPART_SCHEME, 0, "" },
                  { CURLUPART_HOST, 0, "://" },
                  { CURLUPART_ZONEID, 0, "%" },
                  { CURLUPART_PORT, CURLU_DEFAULT_PORT, ":" },
                  { CURLUPART_PATH, 0, "" } };
    CURLU *url = curl_url ();
    bool good = url && curl_url_set (url, CURLUPART_URL, server, 0) == CURLUE_OK;
    for (size_t i = 0; good && i < sizeof parts / sizeof *parts; i++) {
        char *text = NULL;
        if (curl_url_get (url, parts[i].part, &text, parts[i].flags) != CURLUE_OK)
            continue;
        for (char *at = text; parts[i].part != CURLUPART_PATH && *at; at++)
            *at = (char)tolower ((unsigned char)*at);
        buf_printf (out, "%s%s", parts[i].before, text);
        curl_free (text);
    }
    curl_url_cleanup (url);
    while (out->len && out->ptr[out->len - 1] == '/')
        out->ptr[--out->len] = '\0';
}

bool tokens_same_server (const char *a, const char *b)
{
    buf_t first = { 0 };
    buf_t second = { 0 };
    spell_server (a, &first);
    spell_server (b, &second);
    bool same = first.len && slice_eq (buf_slice (&first), buf_slice (&second));
    buf_fini (&first);
    buf_fini (&second);
    return same;
}

/* ---- files ---- */

/* A file beside the config file. */
static void path_beside (const char *config, const char *name, char out[CLI_PATH_SIZE])
{
    snprintf (out, CLI_PATH_SIZE, "%.*s%s", (int)(strrchr (config, '/') + 1 - config), config, name);
}

/* The first word of a token's file. False with one sentence in `problem`. */
static bool read_file (const char *path, char **token, char *problem, size_t size)
{
    buf_t text = { 0 };
    bool good = secret_read (path, &text, problem, size);
    size_t len = good && text.ptr ? strcspn (text.ptr, " \t\r\n") : 0;
    if (good && !len)
        snprintf (problem, size, "'%.300s' holds no token.", path);
    if (len)
        *token = slice_dup (slice_from (text.ptr, len));
    secret_fini (&text);
    return len > 0;
}

/* The saved ones, lines of a server and its token; none where there is no file. */
static int read_saved (const char *path, buf_t *out)
{
    char problem[PROBLEM_SIZE];
    if (access (path, F_OK) != 0 && errno == ENOENT)
        return STATUS_GOOD;
    return secret_read (path, out, problem, sizeof problem) ? STATUS_GOOD : cli_say (STATUS_LOCAL, "%s", problem);
}

/* One line's server, the caller's to free, and where its token is; NULL: the line is none. */
static char *split_line (slice_t line, slice_t *token)
{
    const char *space = memchr (line.ptr, ' ', line.len);
    if (!space || line.ptr[0] == '#')
        return NULL;
    size_t len = (size_t)(space - line.ptr);
    *token = slice_from (space + 1, line.len - len - 1);
    return slice_dup (slice_from (line.ptr, len));
}

/* The token of a server, the caller's to free; NULL: there is none, and `other` (NULL: not wanted) is a server that has
 * one, if there is any. */
static char *find_saved (slice_t saved, const char *server, char **other)
{
    slice_t line;
    slice_t token;
    char *found = NULL;
    while (!found && lines_next (&saved, &line)) {
        char *name = split_line (line, &token);
        if (name && tokens_same_server (name, server))
            found = slice_dup (token);
        else if (name && other && !*other)
            *other = xstrdup (name);
        free (name);
    }
    return found;
}

/* The saved ones with another token for a server, or, NULL, without one. */
static void put_saved (buf_t *saved, const char *server, const char *token)
{
    buf_t fresh = { 0 };
    slice_t line;
    slice_t old;
    for (slice_t rest = buf_slice (saved); rest.len && lines_next (&rest, &line);) {
        char *name = split_line (line, &old);
        if (!name || !tokens_same_server (name, server))
            buf_printf (&fresh, "%.*s\n", (int)line.len, line.ptr);
        free (name);
    }
    if (token)
        buf_printf (&fresh, "%s %s\n", server, token);
    secret_fini (saved);
    *saved = fresh;
}

/* No line is left: no file is. */
static int write_saved (const char *path, const buf_t *saved)
{
    if (saved->len > SECRET_FILE_MAX)
        return cli_say (STATUS_LOCAL, "'%s' would be over %d KiB: forget some tokens first.", path,
                        SECRET_FILE_MAX / 1024);
    if (saved->len)
        return config_write (path, buf_slice (saved));
    return unlink (path) == 0 || errno == ENOENT
               ? STATUS_GOOD
               : cli_say (STATUS_LOCAL, "cannot remove '%s': %s.", path, strerror (errno));
}

/* ---- choosing ---- */

/* What the config file says by itself, for options_fini with common_rows: false, and there is nothing to free. */
static bool read_config (const option_table_t *table, int argc, char **argv, char **environ_p, common_t *out)
{
    option_table_t whole = *table;
    whole.rows = common_rows;
    whole.count = CLI_COMMON;
    whole.config_rows = CLI_IN_CONFIG;
    whole.check = NULL;
    *out = (common_t){ 0 };
    return options_read_config (&whole, argc, argv, environ_p, out);
}

static void free_config (const option_table_t *table, common_t *config)
{
    option_table_t whole = *table;
    whole.rows = common_rows;
    whole.count = CLI_COMMON;
    options_fini (&whole, config);
}

static int take_file (common_t *options, token_from_t from)
{
    char problem[PROBLEM_SIZE];
    char *token = NULL;
    if (!read_file (options->token_file, &token, problem, sizeof problem))
        return cli_say (STATUS_LOCAL, "%s", problem);
    options->token = token;
    options->token_from = from;
    return STATUS_GOOD;
}

static int take_saved (const char *config, common_t *options)
{
    char path[CLI_PATH_SIZE];
    buf_t saved = { 0 };
    if (!config)
        return STATUS_GOOD;
    path_beside (config, "tokens", path);
    int status = read_saved (path, &saved);
    char *other = NULL;
    options->token = find_saved (buf_slice (&saved), options->server, &other);
    options->token_from = options->token ? TOKEN_SAVED : TOKEN_NONE;
    if (!options->elsewhere && !options->token)
        options->elsewhere = other;
    else
        free (other);
    secret_fini (&saved);
    return status;
}

int tokens_choose (const option_table_t *table, int argc, char **argv, common_t *options)
{
    common_t config = { 0 };
    const char *variable = getenv ("GLEANER_TOKEN");
    bool by_line = options_by_line (table, "token-file", argc, argv); /* which counts more than a variable */
    if (variable && *variable && !by_line) {
        options->token = xstrdup (variable);
        options->token_from = TOKEN_VARIABLE;
        return STATUS_GOOD;
    }
    if (options->token_file && (by_line || options_by_environment (table, "token-file", environ)))
        return take_file (options, TOKEN_FILE);
    bool same = false;
    if (options->token_file && read_config (table, argc, argv, environ, &config)) {
        same = tokens_same_server (config.server, options->server);
        options->elsewhere = same ? NULL : xstrdup (config.server);
        free_config (table, &config);
    }
    return same ? take_file (options, TOKEN_CONFIG) : take_saved (table->config, options);
}

void tokens_source (const common_t *options, char *out, size_t size)
{
    out[0] = '\0';
    if (options->token_from == TOKEN_VARIABLE)
        snprintf (out, size, "of GLEANER_TOKEN");
    else if (options->token_from == TOKEN_FILE || options->token_from == TOKEN_CONFIG)
        snprintf (out, size, "in '%s'%s", options->token_file,
                  options->token_from == TOKEN_FILE ? "" : ", as the config file says");
    else if (options->token_from == TOKEN_SAVED)
        snprintf (out, size, "saved for %s", options->server);
}

/* ---- keeping ---- */

/* Two that are saved at once are saved one after the other. A descriptor to close; -1: go on without. */
static int lock_beside (const char *config)
{
    char *copy = xstrdup (config);
    int fd = open (dirname (copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free (copy);
    if (fd >= 0)
        flock (fd, LOCK_EX);
    return fd;
}

static void unlock (int fd)
{
    if (fd >= 0)
        close (fd);
}

/* What the config file at `path` says by itself. */
static bool read_own (const char *path, common_t *out)
{
    static char *argv[] = { (char *)"gleaner", NULL };
    const option_table_t table = { .program = "gleaner", .config = path };
    return read_config (&table, 1, argv, NULL, out);
}

/* The config file's token is for the server that stands there now, and will not. */
static void keep_named (const common_t *own, buf_t *saved)
{
    char problem[PROBLEM_SIZE];
    char *token = NULL;
    if (own->token_file && read_file (own->token_file, &token, problem, sizeof problem))
        put_saved (saved, own->server, token);
    if (token)
        explicit_bzero (token, strlen (token));
    free (token);
}

/* As it is named from everywhere; a link stays one, since it may lead to another file some day. */
static const char *absolute (const char *path, char out[CLI_PATH_SIZE])
{
    size_t len = 0;
    if (path[0] == '/' || !getcwd (out, CLI_PATH_SIZE) || (len = strlen (out)) + strlen (path) + 2 > CLI_PATH_SIZE)
        return path;
    snprintf (out + len, CLI_PATH_SIZE - len, "%s%s", len > 1 ? "/" : "", path);
    return out;
}

/* First the tokens, each with its server; then the config file. A crash between the two leaves what is right by
 * itself: the file's own token goes on being that of its server. */
static int keep (const char *config, const char *path, const common_t *options, const common_t *own)
{
    char ca[CLI_PATH_SIZE];
    buf_t old = { 0 };
    buf_t saved = { 0 };
    const config_line_t lines[] = { { "server", options->server },
                                    { "token-file", NULL },
                                    { "ca", options->ca ? absolute (options->ca, ca) : NULL } };
    int status = read_saved (path, &old);
    if (old.len)
        buf_append (&saved, old.ptr, old.len);
    keep_named (own, &saved);
    put_saved (&saved, options->server, options->token);
    if (status == STATUS_GOOD)
        status = write_saved (path, &saved);
    if (status == STATUS_GOOD && (status = config_set (config, lines, options->ca ? 3 : 2)) != STATUS_GOOD)
        write_saved (path, &old);
    secret_fini (&old);
    secret_fini (&saved);
    return status;
}

/* The one token that was kept in a file of its own, by releases before this one. */
static int remove_old (const char *config, const common_t *own)
{
    char path[CLI_PATH_SIZE];
    path_beside (config, "token", path);
    if ((own->token_file && strcmp (own->token_file, path) != 0) || unlink (path) == 0 || errno == ENOENT)
        return STATUS_GOOD;
    return cli_say (STATUS_LOCAL, "cannot remove '%s': %s.", path, strerror (errno));
}

int tokens_keep (const char *config, const common_t *options)
{
    char path[CLI_PATH_SIZE];
    common_t own = { 0 };
    const option_table_t none = { .program = "gleaner" };
    path_beside (config, "tokens", path);
    int status = config_make_folders (path);
    int lock = status == STATUS_GOOD ? lock_beside (config) : -1;
    bool known = read_own (config, &own);
    if (status == STATUS_GOOD)
        status = keep (config, path, options, &own);
    if (status == STATUS_GOOD)
        status = remove_old (config, &own);
    if (known)
        free_config (&none, &own);
    unlock (lock);
    return status;
}

/* ---- forgetting ---- */

static int forget (const char *config, const common_t *options, const common_t *own)
{
    static const config_line_t none = { "token-file", NULL };
    char path[CLI_PATH_SIZE];
    char *other = NULL;
    buf_t saved = { 0 };
    path_beside (config, "tokens", path);
    int status = read_saved (path, &saved);
    char *token = find_saved (buf_slice (&saved), options->server, &other);
    bool named = own->token_file && tokens_same_server (own->server, options->server);
    if (!other && own->token_file && !named)
        other = xstrdup (own->server);
    if (status == STATUS_GOOD && !token && !named)
        status = cli_say (STATUS_NOT_FOUND, "no token is saved for %s%s%.300s.", options->server,
                          other ? ", but for " : "", other ? other : "");
    put_saved (&saved, options->server, NULL);
    if (status == STATUS_GOOD && token)
        status = write_saved (path, &saved);
    if (status == STATUS_GOOD && named && (status = config_set (config, &none, 1)) == STATUS_GOOD)
        status = remove_old (config, own);
    if (token)
        explicit_bzero (token, strlen (token));
    free (token);
    free (other);
    secret_fini (&saved);
    return status;
}

int tokens_forget (const char *config, const common_t *options)
{
    common_t own = { 0 };
    const option_table_t none = { .program = "gleaner" };
    int lock = lock_beside (config);
    bool known = read_own (config, &own);
    int status = forget (config, options, &own);
    if (known)
        free_config (&none, &own);
    unlock (lock);
    return status;
}
