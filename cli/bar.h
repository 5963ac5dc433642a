/* bar.h - the one line of a terminal that tells how far long work is. It is shown on stderr, when that is a terminal,
 * after half a second, and gone when the work is over or something else is said.
 */
#ifndef GLEANER_CLI_BAR_H
#define GLEANER_CLI_BAR_H

#include <stdbool.h>

/* Work begins. */
void bar_begin (void);
/* Whether it is time to show the line anew. `last`: nothing comes after this one. */
bool bar_due (bool last);
/* Shows the line. */
void bar_show (const char *format, ...) __attribute__ ((format (printf, 1, 2)));
/* Takes it away, if it is there. */
void bar_wipe (void);

#endif
