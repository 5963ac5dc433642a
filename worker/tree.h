/* tree.h - the descendants of this process, as /proc shows them. */
#ifndef GLEANER_WORKER_TREE_H
#define GLEANER_WORKER_TREE_H

/* Sends a signal to every descendant that there is now and that has not ended. What is forked meanwhile may be missed:
 * who wants all of them calls again. Where a process is not ours to signal, nothing happens. Returns how many got it.
 */
int tree_signal (int number);

#endif
