/* sandbox_landlock.h - what a keeper in a sandbox takes from itself and from its job (landlock(7)): a second wall
 * behind the mounts. */
#ifndef GLEANER_WORKER_SANDBOX_LANDLOCK_H
#define GLEANER_WORKER_SANDBOX_LANDLOCK_H

/* From now on this process and what it starts write only below `writable` (paths, ends with a NULL), and reach no
 * abstract socket and no process of outside, as far as this kernel has it; needs no_new_privs. One that has none of it
 * is no error. Returns 0 or an errno. */
int landlock_restrict (char *const writable[]);

#endif
