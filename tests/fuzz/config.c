/* Options: a config file's text, or a command line whose arguments end with zero bytes, of worker or gateway. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "gateway/options.h"
#include "worker/options.h"

enum { ARGUMENTS_MAX = 12 };

int LLVMFuzzerInitialize (int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    return 0;
}

static bool between (int64_t number, int64_t low, int64_t high)
{
    return number >= low && number <= high;
}

static void check_worker (int argc, char **argv)
{
    worker_options_t options = { 0 };
    buf_t lines = { 0 };
    char problem[512];
    int status = worker_options_parse (argc, argv, &options);
    CHECK (status == OPTIONS_RUN || status == 0 || status == 2);
    if (status != OPTIONS_RUN)
        return;
    CHECK (between (options.slots, 1, 256) && between (options.poll_wait_ms, 100, WAIT_MAX));
    CHECK (between (options.archive.files, 1, ARCHIVE_FILES_LIMIT) && options.archive.ratio > 0);
    CHECK (!options.server || !options.broker); /* neither: it has joined */
    CHECK (worker_options_labels (&options, NULL, NULL, false, &lines, problem, sizeof problem) &&
           lines.len <= LABELS_MAX);
    buf_fini (&lines);
    worker_options_fini (&options);
}

static void check_gateway (int argc, char **argv)
{
    static char *const no_environment[] = { NULL };
    gateway_options_t options = { 0 };
    int status = options_parse (&gateway_option_table, argc, argv, (char **)(uintptr_t)no_environment, &options);
    CHECK (status == OPTIONS_RUN || status == 0 || status == 2);
    if (status != OPTIONS_RUN)
        return;
    CHECK (options.listen && options.connection_limit > 0 && options.broker_timeout_ms > 0);
    options_fini (&gateway_option_table, &options);
}

/* The program, what it cannot do without, and the input's arguments. */
static void run_arguments (bool worker, slice_t in)
{
    char *argv[ARGUMENTS_MAX + 2] = { xstrdup ("program") };
    int argc = 1;
    while (in.len && argc <= ARGUMENTS_MAX) {
        const char *end = memchr (in.ptr, '\0', in.len);
        argv[argc++] = slice_dup (fuzz_take (&in, end ? (size_t)(end - in.ptr) : in.len));
        fuzz_take (&in, 1);
    }
    /* Which file is read is not the input's to say. */
    bool config = false;
    for (int i = 1; i < argc; i++)
        config = config || strncmp (argv[i], "--config", 8) == 0;
    if (!config && worker)
        check_worker (argc, argv);
    else if (!config)
        check_gateway (argc, argv);
    for (int i = 0; i < argc; i++)
        free (argv[i]);
}

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
    slice_t in = slice_from (data, size);
    uint8_t how = fuzz_byte (&in);
    bool worker = how & 1;
    if (how & 2) {
        run_arguments (worker, in);
        return 0;
    }
    char config[] = "--config";
    char *path = xstrdup (fuzz_file (in));
    char program[] = "program";
    char *argv[] = { program, config, path, NULL };
    if (worker)
        check_worker (3, argv);
    else
        check_gateway (3, argv);
    free (path);
    return 0;
}
