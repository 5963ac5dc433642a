/* temporary.h - a file without a name, for what is on its way. */
#ifndef GLEANER_CLI_TEMPORARY_H
#define GLEANER_CLI_TEMPORARY_H

/* Open for reading and writing, below $TMPDIR or /tmp, gone when it is closed. -1 after one sentence. */
int temporary_file (void);
/* That folder; from the environment, or static. */
const char *temporary_folder (void);

#endif
