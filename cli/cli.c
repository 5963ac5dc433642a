#include "cli/cli.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/bar.h"
#include "cli/client.h"
#include "cli/tokens.h"
#include "proto/buf.h"
#include "proto/program.h"

enum { LINE_SIZE = 2048 };

char *cli_plain (char *text)
{
    for (unsigned char *at = (unsigned char *)text; *at; at++)
        if (*at == 0xc2 && at[1] >= 0x80 && at[1] < 0xa0) /* C1, in UTF-8 */
            at[0] = at[1] = '?';
        else if (iscntrl (*at))
            *at = '?';
    return text;
}

int cli_say (int status, const char *format, ...)
{
    char line[LINE_SIZE];
    va_list args;
    va_start (args, format);
    vsnprintf (line, sizeof line, format, args);
    va_end (args);
    bar_wipe ();
    fprintf (stderr, "gleaner: %s\n", cli_plain (line));
    return status;
}

void cli_config_path (char out[CLI_PATH_SIZE])
{
    const char *base = getenv ("XDG_CONFIG_HOME");
    const char *home = getenv ("HOME");
    out[0] = '\0';
    if (base && base[0] == '/')
        snprintf (out, CLI_PATH_SIZE, "%s/gleaner/gleaner.conf", base);
    else if (home && *home)
        snprintf (out, CLI_PATH_SIZE, "%s/.config/gleaner/gleaner.conf", home);
}

void cli_add_hangup (sigset_t *set)
{
    struct sigaction now;
    if (sigaction (SIGHUP, NULL, &now) == 0 && now.sa_handler != SIG_IGN)
        sigaddset (set, SIGHUP);
}

bool cli_find_program (const char *name, char path[CLI_PATH_SIZE])
{
    if (program_beside (name, path, CLI_PATH_SIZE))
        return true;
    char *folders = xstrdup (getenv ("PATH") ? getenv ("PATH") : "/usr/bin:/bin");
    bool found = false;
    for (char *rest = folders, *folder; !found && (folder = strsep (&rest, ":"));) {
        snprintf (path, CLI_PATH_SIZE, "%s/%s", folder, name);
        found = *folder == '/' && access (path, X_OK) == 0;
    }
    free (folders);
    return found;
}

static const char *config_of (char path[CLI_PATH_SIZE])
{
    cli_config_path (path);
    return *path ? path : NULL;
}

int cli_parse_options (const option_table_t *table, int argc, char **argv, common_t *options)
{
    char path[CLI_PATH_SIZE];
    option_table_t whole = *table;
    whole.config = config_of (path);
    whole.config_rows = CLI_IN_CONFIG;
    whole.common = CLI_COMMON;
    int status = options_parse (&whole, argc, argv, environ, options);
    if (status == OPTIONS_RUN && !client_server_good (options->server)) {
        status =
            cli_say (STATUS_USAGE, "'%.200s' is no server's address: http://HOST:3000, say (--server, GLEANER_SERVER).",
                     options->server);
        cli_fini (table, options);
    }
    return status;
}

int cli_parse (const option_table_t *table, int argc, char **argv, common_t *options)
{
    int status = cli_parse_options (table, argc, argv, options);
    if (status != OPTIONS_RUN)
        return status;
    char path[CLI_PATH_SIZE];
    option_table_t whole = *table;
    whole.config = config_of (path);
    status = tokens_choose (&whole, argc, argv, options);
    if (status == STATUS_GOOD)
        return OPTIONS_RUN;
    cli_fini (table, options);
    return status;
}

void cli_fini (const option_table_t *table, common_t *options)
{
    free ((char *)options->token);
    free ((char *)options->elsewhere);
    options->token = options->elsewhere = NULL;
    options_fini (table, options);
}
