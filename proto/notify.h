/* notify.h - what a program tells the service manager that started it: sd_notify(3)'s datagrams, by the protocol that
 * is documented there.
 *
 * It is some lines of text to a socket, and worth no library: libsystemd brings five more into a broker. Without
 * NOTIFY_SOCKET everything here does nothing. One thread of a program uses it, the one that runs its loop, so that a
 * loop which hangs is noticed by what it does not send.
 */
#ifndef GLEANER_NOTIFY_H
#define GLEANER_NOTIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { NOTIFY_STATUS_MS = 1000 }; /* between two looks at the status, at least */

/* Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID, and takes them out of the environment: they are not for
 * children. False and one sentence in `problem` when the socket's address cannot be used. */
bool notify_begin (char *problem, size_t problem_size);
void notify_end (void);

/* The program serves. */
void notify_ready (void);
/* It reads its options again, and has done so. Before it is ready neither is said: the second is READY=1, too. */
void notify_reloading (void);
void notify_reloaded (void);
void notify_stopping (void);
/* What is under way may take `ms` longer from now on than the unit's timeout says. */
void notify_extend (int64_t ms);

/* To be called in each turn of the loop: says that it turns, when that is due (half of WATCHDOG_USEC). True when the
 * status is to be said anew. */
bool notify_turn (void);
/* When the loop is to turn at the latest (clock_mono_ms), or INT64_MAX. */
int64_t notify_deadline (void);
/* One line of at most 255 bytes for `systemctl status`; sent when it is another one than before. */
void notify_status (const char *format, ...) __attribute__ ((format (printf, 1, 2)));

#endif
