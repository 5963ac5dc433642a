/* temporary.h - a file without a name, for what is on its way. */
#ifndef GLEANER_CLI_TEMPORARY_H
#define GLEANER_CLI_TEMPORARY_H

/* Open for reading and writing, below $TMPDIR or /tmp, gone when it is closed. -1 after one sentence. */
int temporary_file (void);
/* Makes a file in `folder`, which must stay open as long, or AT_FDCWD, that was not there: open for writing; -1 with
 * errno. A signal that would end the program removes it first, until temporary_done (): one at a time. */
int temporary_make (int folder, const char *name);
/* It is complete, or has been removed. */
void temporary_done (void);
/* That folder; from the environment, or static. */
const char *temporary_folder (void);

#endif
