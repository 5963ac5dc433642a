/* program.h - what every Gleaner program does the same way when it starts. */
#ifndef GLEANER_PROGRAM_H
#define GLEANER_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>

enum { EXIT_REFUSED = 2 }; /* bad options, a taken port, a folder that cannot be used: one sentence said what */

/* Before anything else: streams that were closed become /dev/null, so that no file or socket gets the number of one and
 * with it what is written there. Writing there fails, as it did. */
void program_begin (void);

/* Says one sentence on stderr, after the program's name. Returns EXIT_REFUSED. */
int program_refuse (const char *program, const char *problem);

/* Blocks SIGINT, SIGTERM and SIGHUP for all threads started from now on, ignores SIGPIPE, and returns a non-blocking
 * descriptor that is readable when one has come (signalfd(2)); -1 with errno when there is none. */
int program_signals (void);

typedef enum { ASKED_NOTHING, ASKED_STOP, ASKED_RELOAD } program_asked_t;

/* What the next signal of `fd` asks for: SIGHUP for what is new in files, unless it is the terminal's end, which ends
 * who was started there, as it does everywhere. `number` becomes the signal's; it may be NULL. */
program_asked_t program_asked (int fd, int *number);

/* The running kernel's boot id: equal for all programs on this machine, whatever their host name, until it boots again
 * (random(4)). Empty when it cannot be read. */
void program_machine (char *out, size_t size);

/* The path of `name` as seen from the folder of the running program, cut where `size` ends: "gleaner-keeper",
 * "../share/gleaner/web". Returns whether it is there. */
bool program_beside (const char *name, char *out, size_t size);

#endif
