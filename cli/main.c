#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "proto/program.h"

/* What could not be printed was not told. */
static int printed (int status)
{
    bool good = fflush (stdout) == 0 && !ferror (stdout);
    return good || status ? status : cli_say (STATUS_LOCAL, "what was asked for cannot be printed: is the disk full?");
}

int main (int argc, char **argv)
{
    int taken = 0;
    program_begin ();
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
        return printed (commands_reference (argc == 3 ? argv[2] : ""));
    const command_t *command = command_find (argc - 1, argv + 1, &taken);
    if (command && taken < argc - 1 && argv[taken + 1][0] != '-' && command_has_words (command)) {
        char words[128];
        snprintf (words, sizeof words, "%.40s %.60s", command->name, argv[taken + 1]);
        return command_unknown (words);
    }
    return command ? printed (command->run (argc - taken, argv + taken)) : command_unknown (name);
}
