/* fuzz.h - what the targets share. Each is a file NAME.c that takes bytes as its outside would bring them, and holds
 * what comes of them against what must be true: CHECK ends the process when it is not. */
#ifndef GLEANER_TESTS_FUZZ_H
#define GLEANER_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

#include "proto/buf.h"
#include "proto/message.h"

/* libFuzzer's, and those of replay.c. */
int LLVMFuzzerInitialize (int *argc, char ***argv);
int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

#define CHECK(truth) fuzz_check (!!(truth), #truth, __FILE__, __LINE__)
void fuzz_check (int truth, const char *text, const char *file, int line);

/* Takes numbers off the front of the input; 0 when there are none left. */
uint8_t fuzz_byte (slice_t *in);
uint16_t fuzz_16 (slice_t *in);
uint64_t fuzz_64 (slice_t *in);
/* The next `len` bytes, or as many as there are. */
slice_t fuzz_take (slice_t *in, size_t len);

/* A folder of the process's own, in memory where there is room for it; removed at exit. */
const char *fuzz_folder (void);
/* A file of these bytes, always the same one; its path. */
const char *fuzz_file (slice_t bytes);
/* Removes what is below a folder, opened, that holds files and folders only; how many of them there were. CHECKs that
 * there is nothing else. */
int fuzz_empty (int folder);

/* Appends a decoded message's frame. */
void fuzz_encode (const message_t *message, buf_t *out);

#endif
