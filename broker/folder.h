/* folder.h - the data directory: where it is, and that one broker has it. */
#ifndef GLEANER_FOLDER_H
#define GLEANER_FOLDER_H

#include <stdbool.h>
#include <stddef.h>

enum { FOLDER_PATH_MAX = 4096, FOLDER_ENDPOINT_SIZE = 64 };

/* `data` (an option's value; NULL: the user's own place) as a path, made when missing if `make`. False with one
 * sentence in `problem` when it cannot be used. */
bool folder_find (const char *data, bool make, char path[FOLDER_PATH_MAX], char *problem, size_t problem_size);
/* Held until the process ends; the descriptor is given up to it. False with one sentence; `*busy`: another process has
 * it. */
bool folder_lock (const char *folder, bool *busy, char *problem, size_t problem_size);

/* The socket by which this machine's --backup reaches the broker that holds the folder, as an endpoint of ZeroMQ. It
 * leads through the open folder, so that a path of any length fits into a socket's 107 bytes (unix(7)); the folder
 * stays open until the process ends. False with errno. */
bool folder_control (const char *folder, char endpoint[FOLDER_ENDPOINT_SIZE]);

#endif
