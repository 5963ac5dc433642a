/* top.h - what `gleaner top` shows, and the terminal that it shows it on. */
#ifndef GLEANER_CLI_TOP_H
#define GLEANER_CLI_TOP_H

#include <stdio.h>

#include "cli/client.h"

enum {
    TOP_JOBS_MAX = 200, /* that are asked for */
    TOP_TAILS_MAX = 30, /* of them those whose last line is looked up: a question each */
};

/* Asks the server. `tails`: so many jobs need their last line. On success the sight is the caller's to free, in
 * `sight_p`: `info`, `stats`, `jobs` (each with `lastLine`) and `workers`, as the server's answers have them. Otherwise
 * it stays as it is, and `fault` is the caller's to end. */
void top_look (client_t *client, int tails, json_t **sight_p, answer_t *fault);
/* Writes it as lines; `rows` of them at most, and what has no place is counted; 0: as many as it takes. A line that
 * begins with TOP_BOLD or TOP_LOUD is to be shown so. No other control character is in them. `away`: why the server
 * does not answer now, or NULL. */
void top_print (const json_t *sight, const char *server, const char *away, int rows, FILE *out);

#define TOP_BOLD '\001'
#define TOP_LOUD '\002'

#endif
