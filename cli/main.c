#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"

/* What could not be printed was not told. */
static int printed (int status)
{
    bool good = fflush (stdout) == 0 && !ferror (stdout);
    return good || status ? status : cli_say (STATUS_LOCAL, "what was asked for cannot be printed: is the disk full?");
}

/* The options of all commands, as --options-as of a command prints its own. */
static int reference (const char *format)
{
    static char option[] = "--options-as";
    if (!cli_reference (format))
        return cli_say (STATUS_USAGE, "--options-as stands alone: config, man, man-config or markdown.");
    bool each = strcmp (format, "man") == 0 || strcmp (format, "markdown") == 0;
    for (size_t i = 0; each && i < cli_command_count; i++) {
        char name[32];
        char form[32];
        snprintf (name, sizeof name, "%s", cli_commands[i].name);
        snprintf (form, sizeof form, "%s", format);
        char *argv[] = { name, option, form, NULL };
        cli_commands[i].run (3, argv);
    }
    return printed (STATUS_GOOD);
}

int main (int argc, char **argv)
{
    int taken = 0;
    signal (SIGPIPE, SIG_DFL);
    setlocale (LC_CTYPE, "C.UTF-8"); /* or the library cannot tell names of files in ZIPs */
    if (argc < 2)
        return commands_help (stderr);
    const char *name = argv[1];
    if (strcmp (name, "--help") == 0 || strcmp (name, "-h") == 0)
        return printed (commands_help (stdout));
    if (strcmp (name, "--version") == 0) {
        printf ("gleaner %s\n", GLEANER_VERSION);
        return printed (STATUS_GOOD);
    }
    if (strcmp (name, "--options-as") == 0)
        return reference (argc == 3 ? argv[2] : "");
    const command_t *command = command_find (argc - 1, argv + 1, &taken);
    return command ? printed (command->run (argc - taken, argv + taken)) : command_unknown (name);
}
