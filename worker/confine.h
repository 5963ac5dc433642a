/* confine.h - a process shuts itself in before it reads bytes that somebody else made: gleaner-extract and
 * gleaner-collect.
 *
 * Two walls. A seccomp filter leaves the system calls that the work needs, and of openat only the kind it needs: no
 * network, no program, no process, no signal. Landlock, where the kernel has it, leaves the one folder. What is open
 * already stays usable: the archive, the ZIP that is written, the pipes.
 */
#ifndef GLEANER_WORKER_CONFINE_H
#define GLEANER_WORKER_CONFINE_H

#include <linux/filter.h>

typedef enum {
    CONFINE_EXTRACT, /* new files and folders below the folder; nothing can be read but what is open */
    CONFINE_COLLECT, /* files and folders below the folder can be read; nothing can be made */
} confine_use_t;

typedef struct {
    confine_use_t use;
    struct sock_fprog filter; /* lives as long as the process */
} confine_t;

/* Makes the filter: once, before a fork server forks. Returns 0 or an errno. */
int confine_prepare (confine_t *self, confine_use_t use);
/* From now on this process, and what it may become, is shut in. `folder` is open (O_PATH is enough). Returns 0 or an
 * errno: then it must not go on. A kernel without Landlock is no failure. */
int confine_enter (const confine_t *self, int folder);
/* The version of the kernel's Landlock; 0: it has none. */
int confine_landlock_abi (void);

#endif
