/* bench-spawn - `sh -c true` as often as asked, by posix_spawn and nothing else: what running commands costs at least.
 *
 * usage: bench-spawn COUNT AT-ONCE
 * prints one JSON object: count, seconds, per_second
 */
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

static int64_t now_us (void)
{
    struct timespec now;
    clock_gettime (CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

static int give_up (const char *why)
{
    fprintf (stderr, "bench-spawn: %s\n", why);
    return 1;
}

int main (int argc, char **argv)
{
    long count = argc == 3 ? atol (argv[1]) : 0;
    long at_once = argc == 3 ? atol (argv[2]) : 0;
    if (count < 1 || at_once < 1)
        return give_up ("usage: bench-spawn COUNT AT-ONCE");
    char words[][5] = { "sh", "-c", "true" };
    char *const command[] = { words[0], words[1], words[2], NULL };
    long begun = 0;
    int64_t start_us = now_us ();
    for (long ended = 0; ended < count;) {
        pid_t pid = 0;
        if (begun < count && begun - ended < at_once) {
            if (posix_spawn (&pid, "/bin/sh", NULL, NULL, command, environ) != 0)
                return give_up ("/bin/sh cannot be started");
            begun++;
            continue;
        }
        int status = 0;
        if (wait (&status) < 0 || status != 0)
            return give_up ("true was not");
        ended++;
    }
    double seconds = (double)(now_us () - start_us) / 1e6;
    printf ("{\"count\": %ld, \"seconds\": %.3f, \"per_second\": %.0f}\n", count, seconds, (double)count / seconds);
    return 0;
}
