/* When a server that is just starting gives its first answer. */
#include "tests/bench/cycle/drive.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TRY_US = 500, PATIENCE_US = 120 * 1000 * 1000 };

static bool listens (int port)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons ((uint16_t)port),
                                   .sin_addr.s_addr = htonl (INADDR_LOOPBACK) };
    int fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool good = fd >= 0 && connect (fd, (struct sockaddr *)&address, sizeof address) == 0;
    close (fd);
    return good;
}

void first_run (drive_t *drive)
{
    int64_t start_us = drive_now_us ();
    while (!listens (drive->port)) {
        if (drive_now_us () - start_us > PATIENCE_US) {
            errno = ETIMEDOUT;
            drive_die ("nobody listens");
        }
        usleep (TRY_US);
    }
    int64_t listens_us = drive_now_us ();
    drive_connect (drive, 0);
    printf ("{\"kind\": \"%s\", \"listens_ms\": %.1f, \"first_answer_ms\": %.1f}\n", drive->kind->name,
            (double)(listens_us - start_us) / 1000, (double)(drive_now_us () - start_us) / 1000);
}
