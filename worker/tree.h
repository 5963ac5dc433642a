/* tree.h - the descendants of this process, as /proc shows them. */
#ifndef GLEANER_WORKER_TREE_H
#define GLEANER_WORKER_TREE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* True for a child that is to be left alone, with all that it started. NULL where this is asked for: there is none. */
typedef bool tree_spared_fn (pid_t child);

/* Sends a signal to every descendant that there is now and that has not ended. What is forked meanwhile may be missed:
 * who wants all of them calls again. Where a process is not ours to signal, nothing happens. Returns how many got it.
 */
int tree_signal (int number, tree_spared_fn *spared);
/* Waits for the children that have ended, and no longer. Returns how many descendants are left, ended or not. */
int tree_reap (tree_spared_fn *spared);
/* What the descendants use now. */
typedef struct {
    int64_t cpu_ms; /* of those that are not yet reaped, and of what they have reaped */
    int64_t rss_bytes;
    int64_t processes; /* that have not ended */
    int64_t tasks;     /* their threads, one at least of each */
} tree_usage_t;

tree_usage_t tree_usage (void);
/* The memory of those that tree_usage saw last, with what several of them share counted once. It costs a lot more. */
int64_t tree_memory_bytes (void);
/* Calls `fn` with each child. */
void tree_each_child (void (*fn) (pid_t child));

#endif
