/* enclose.h - a process shuts itself in before it reads bytes that somebody else made: gleaner-extract and
 * gleaner-collect.
 *
 * Two walls. A seccomp filter leaves the system calls that the work needs, and of openat only the kind it needs: no
 * network, no program, no process, no signal. Landlock, where the kernel has it, leaves the one folder. What is open
 * already stays usable: the archive, the ZIP that is written, the pipes.
 */
#ifndef GLEANER_WORKER_ENCLOSE_H
#define GLEANER_WORKER_ENCLOSE_H

#include <linux/filter.h>

typedef enum {
    ENCLOSE_EXTRACT, /* new files and folders below the folder; nothing can be read but what is open */
    ENCLOSE_COLLECT, /* files and folders below the folder can be read; nothing can be made */
    ENCLOSE_RENEW,   /* as ENCLOSE_EXTRACT, and what is below the folder can be removed; needs Landlock */
} enclose_use_t;

typedef struct {
    enclose_use_t use;
    struct sock_fprog filter; /* lives as long as the process */
} enclose_t;

/* Makes the filter: once, before a fork server forks. Returns 0 or an errno. */
int enclose_prepare (enclose_t *self, enclose_use_t use);
/* From now on this process, and what it may become, is shut in. `folder` is open (O_PATH is enough). Returns 0 or an
 * errno: then it must not go on. A kernel without Landlock is no failure,
 * except to ENCLOSE_RENEW: ENOSYS. */
int enclose_enter (const enclose_t *self, int folder);

#endif
