/* fork_serve.h - the fork server's side of fork_server.h: what a program does that is told to be one. */
#ifndef GLEANER_WORKER_FORK_SERVE_H
#define GLEANER_WORKER_FORK_SERVE_H

#include <stdbool.h>

/* True when the program is to be a fork server: what every process needs is done best before it. */
bool fork_serve_wanted (int argc, char **argv);
/* When it is not, at once. Else it makes a process for each request, as child_start would, and
 * returns in each of these, with its arguments; in the fork server itself it does not return. To be called before
 * there is a thread, and with nothing in stdio's buffers. What the limits of each process are is set after it. */
void fork_serve (int *argc, char ***argv);

#endif
