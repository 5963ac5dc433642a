/* keeper_input.c - what a keeper is given to do: NUL-terminated strings (keeper.c). */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "worker/keeper_internal.h"

enum {
    INPUT_MAX = 1024 * 1024, /* beyond COMMAND_MAX, ENV_MAX and what the worker adds */
    ROWS_MAX = 32 * 1024,    /* likewise, of variables: three bytes at least in ENV_MAX */
};

static char input[INPUT_MAX];
static size_t input_len;

/* Reads it to its end. Returns 0 or an errno. */
static int read_all (int fd)
{
    ssize_t got = 1;
    while (got != 0 && input_len < sizeof input) {
        got = read (fd, input + input_len, sizeof input - input_len);
        if (got < 0 && errno != EINTR)
            return errno;
        input_len += got > 0 ? (size_t)got : 0;
    }
    return input_len == sizeof input ? E2BIG : input_len == 0 || input[input_len - 1] ? EINVAL : 0;
}

/* "MEMORY DISK PIDS CPUS", as in limits.h. Returns 0 or an errno. */
static int take_limits (keeper_t *self, const char *text)
{
    long long memory, disk, pids, cpus;
    if (sscanf (text, "%lld %lld %lld %lld", &memory, &disk, &pids, &cpus) != 4)
        return EINVAL;
    self->watch.limits = (limits_t){ .memory_bytes = memory, .disk_bytes = disk, .pids = pids, .cpus = cpus };
    return 0;
}

int keeper_take_input (keeper_t *self, int fd)
{
    static char *rows[ROWS_MAX + 1];
    size_t count = 0;
    int error = read_all (fd);
    if (error)
        return error;
    error = take_limits (self, input);
    self->next = input + strlen (input) + 1;
    if (error || self->next >= input + input_len)
        return EINVAL;
    self->env = rows;
    for (char *at = self->next + strlen (self->next) + 1; at < input + input_len; at += strlen (at) + 1) {
        if (count == ROWS_MAX)
            return E2BIG;
        rows[count++] = at;
    }
    rows[count] = NULL;
    return 0;
}

void keeper_wipe_input (void)
{
    explicit_bzero (input, input_len);
    input_len = 0;
}
