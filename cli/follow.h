/* follow.h - a job's output as it comes, stdout and stderr apart, from its wait to its end.
 *
 * One loop drives two streams and asks for the job's state beside them. A stream that breaks goes on where it was, so
 * nothing is lost and nothing comes twice, however often the server goes away. When a job is tried again, that is said,
 * and the next attempt's output follows.
 */
#ifndef GLEANER_CLI_FOLLOW_H
#define GLEANER_CLI_FOLLOW_H

#include "cli/client.h"

typedef enum {
    CTRL_C_ENDS, /* the program: the job goes on */
    CTRL_C_ASKS, /* whether to cancel the job or let it go on alone; where nobody can be asked, it is cancelled */
} ctrl_c_t;

typedef struct {
    const char *job;
    int attempt;   /* only that; 0: the last one, or the one that comes */
    bool as_it_is; /* what there is by now, however the job is */
    bool raw;      /* on a terminal, too, what is printed is left as it is */
    bool silent;   /* nothing is printed of it: only its end is awaited */
    bool tell;     /* it was just made: say on stderr why it waits, and on whom it runs */
    ctrl_c_t ctrl_c;
} follow_order_t;

/* Until the job is over: its record, the caller's to free, in `job_p`, and STATUS_GOOD. Else what to exit with, after
 * one sentence. */
int follow_job (client_t *client, const follow_order_t *order, json_t **job_p);
/* What `gleaner run` and `gleaner wait` exit with for a job that is over; says on stderr how it ended, unless well. */
int ended_status (const json_t *job);

#endif
