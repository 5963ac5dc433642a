/* A worker's spool: the result that an earlier run has kept, as it is read back, and the message that it becomes. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"
#include "worker/job_internal.h"

static decoder_t *decoder;
static char spool[128];

int LLVMFuzzerInitialize (int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    decoder = decoder_new ();
    snprintf (spool, sizeof spool, "%s/spool", fuzz_folder ());
    CHECK (mkdir (spool, 0700) == 0);
    return 0;
}

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
    char path[160];
    buf_t frame = { 0 };
    message_t message;
    snprintf (path, sizeof path, "%s/result", spool);
    CHECK (file_write (path, slice_from (data, size)) == 0);
    if (job_result_read (spool, decoder, &frame, &message)) {
        buf_t again = { 0 };
        CHECK (message.type == MSG_JOB_RESULT || message.type == MSG_JOB_FAIL);
        fuzz_encode (&message, &again);
        CHECK (again.len <= FRAME_MAX);
        buf_fini (&again);
    }
    buf_fini (&frame);
    return 0;
}
