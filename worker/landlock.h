/* landlock.h - what a process takes from itself and from all that it starts, for good: landlock(7). Called by its
 * system calls: the machine's C library has none, and its headers may be older than its kernel. */
#ifndef GLEANER_WORKER_LANDLOCK_H
#define GLEANER_WORKER_LANDLOCK_H

#include <stdbool.h>

/* What stays allowed below a folder. */
typedef enum {
    MAY_READ,        /* files and folders */
    MAY_RUN,         /* that, and programs */
    MAY_MAKE,        /* new files and folders, and writing to them; no reading */
    MAY_RENEW,       /* that, and removing them */
    MAY_BUT_DEVICES, /* everything, except to make devices */
} landlock_may_t;

/* The version of the kernel's Landlock; 0: it has none. */
int landlock_version (void);
/* Rules by which no file can be reached, and no abstract socket nor process of outside be spoken to, as far as this
 * kernel can forbid it; without `network` no TCP port either. `*rules` is a descriptor, which landlock_enter closes; -1
 * where there is no Landlock, and that is no failure. Returns 0 or an errno. */
int landlock_begin (bool network, int *rules);
/* `folder` is open; O_PATH is enough. Returns 0 or an errno. */
int landlock_allow (int rules, int folder, landlock_may_t may);
/* From now on they hold, unless `error` is set; needs no_new_privs. Returns `error`, or that of its own. */
int landlock_enter (int rules, int error);

#endif
