/* ignore.h - which files of a folder stay at home: .gitignore and .gleanerignore, as git reads them (gitignore(5)).
 *
 * Rules hold below the folder whose file they stand in; of those that match the last one counts, one of a deeper folder
 * before one of a higher, and `!` takes a file back in. What lies in a folder that is left out cannot be taken back in.
 */
#ifndef GLEANER_CLI_IGNORE_H
#define GLEANER_CLI_IGNORE_H

#include <stdbool.h>
#include <stddef.h>

typedef struct ignore ignore_t;

enum { IGNORE_RULES_MAX = 10000 }; /* those after it are left out, which ignore_full tells */

ignore_t *ignore_new (void);
void ignore_destroy (ignore_t **self_p);
/* Reads the rules of the text of a file that lies in `folder`: "" for the top, else "a/b". */
void ignore_read (ignore_t *self, const char *folder, const char *text);
/* Forgets the rules of that folder and those below it: the last ones that were read. */
void ignore_leave (ignore_t *self, const char *folder);
/* True when what is at `path` ("a/b/c") stays at home. */
bool ignore_takes (const ignore_t *self, const char *path, bool is_folder);
bool ignore_full (const ignore_t *self);

#endif
