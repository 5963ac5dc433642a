/* extract.c - the program gleaner-extract: a process of its own for bytes that somebody else made, forked from one that
 * the worker has started before.
 *
 * usage: gleaner-extract ARCHIVE FOLDER FILES BYTES RATIO DEPTH [DELTA SHA256 [HOW]]: four of archive_limits_t, the
 * archive that is laid over the first (empty: none), and the hash that the first must have (empty: it was looked at).
 * HOW is `tell`: when it is done, print how many bytes of disk that takes, about; or `over`: the folder is what an
 * earlier call has made of the first alone, and is made what it would be if it were empty. Exit status: 0 done; 3
 * refused: on stdout one sentence, before it its code and a colon; 4 the disk is full, 5 another fault that is not the
 * archive's: one sentence; 6 it has another hash; 2 wrong usage.
 */
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/id.h"
#include "proto/limits.h"
#include "worker/archive.h"
#include "worker/enclose.h"
#include "worker/fork_serve.h"

enum {
    EXIT_USAGE = 2,
    EXIT_REFUSED = 3,
    EXIT_DISK_FULL = 4,
    EXIT_FAULT = 5,
    EXIT_OTHER_HASH = 6,
    PIECE = 64 * 1024,
    CPU_SECONDS_MAX = 300,
    FILES_MAX = 128, /* open at once */
};
#define MEMORY_MAX (512LL << 20)

static void limit (int resource, rlim_t value, rlim_t most)
{
    const struct rlimit both = { value, most };
    setrlimit (resource, &both);
}

static void limit_all (const archive_limits_t *limits)
{
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* they reserve address space by the terabyte */
    limit (RLIMIT_AS, MEMORY_MAX, MEMORY_MAX);
#endif
    limit (RLIMIT_CPU, CPU_SECONDS_MAX, CPU_SECONDS_MAX + 10); /* SIGXCPU first: the worker tells by that */
    limit (RLIMIT_FSIZE, (rlim_t)limits->bytes, (rlim_t)limits->bytes);
    limit (RLIMIT_NOFILE, FILES_MAX, FILES_MAX);
    umask (0022);
}

static bool read_limits (char **argv, archive_limits_t *out)
{
    int64_t *numbers[] = { &out->files, &out->bytes, &out->ratio, &out->depth };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        char *end = NULL;
        *numbers[i] = strtoll (argv[i], &end, 10);
        if (*numbers[i] <= 0 || *end)
            return false;
    }
    return true;
}

static int tell (int error, const char *what)
{
    printf ("%s: %s.\n", what, strerror (error));
    return error == ENOSPC || error == EDQUOT ? EXIT_DISK_FULL : EXIT_FAULT;
}

static bool has_hash (int archive, const char *wanted)
{
    static unsigned char piece[PIECE];
    unsigned char digest[SHA256_DIGEST_SIZE];
    char hex[SHA256_HEX + 1];
    struct sha256_ctx hash;
    ssize_t got;
    sha256_init (&hash);
    for (off_t at = 0; (got = pread (archive, piece, sizeof piece, at)) > 0; at += got)
        sha256_update (&hash, (size_t)got, piece);
    sha256_digest (&hash, SHA256_DIGEST_SIZE, digest);
    hex_format (digest, sizeof digest, hex);
    return got == 0 && strcmp (hex, wanted) == 0;
}

typedef struct {
    const char *archive, *folder, *delta, *sha256, *how;
    archive_limits_t limits;
} order_t;

static bool unpack (const order_t *order, int archive, int delta, int folder, archive_refusal_t *refusal)
{
    if (strcmp (order->how, "over") == 0)
        return archive_extract_over (archive, delta, folder, &order->limits, refusal);
    if (delta >= 0)
        return archive_extract_delta (archive, delta, folder, &order->limits, refusal);
    return archive_extract (archive, folder, &order->limits, refusal);
}

static int extract (const enclose_t *walls, const order_t *order)
{
    archive_refusal_t refusal;
    int delta = -1;
    int archive = open (order->archive, O_RDONLY | O_CLOEXEC);
    if (archive >= 0 && *order->delta)
        delta = open (order->delta, O_RDONLY | O_CLOEXEC);
    bool opened = archive >= 0 && (delta >= 0 || !*order->delta);
    int folder = opened ? open (order->folder, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
    if (folder < 0)
        return tell (errno, opened ? "The job's folder cannot be opened" : "The archive cannot be opened");
    limit_all (&order->limits);
    int error = enclose_enter (walls, folder);
    if (error)
        return tell (error, "The extractor cannot be shut in");
    if (*order->sha256 && !has_hash (archive, order->sha256))
        return EXIT_OTHER_HASH;
    if (unpack (order, archive, delta, folder, &refusal)) {
        if (strcmp (order->how, "tell") == 0)
            printf ("%lld\n", (long long)archive_room (archive, &order->limits));
        return 0;
    }
    if (!refusal.code)
        return tell (refusal.error, "The archive cannot be unpacked");
    printf ("%s: The archive was refused: %s\n", refusal.code, refusal.text);
    return EXIT_REFUSED;
}

int main (int argc, char **argv)
{
    enclose_t walls;
    enclose_t walls_over;
    order_t order;
    setlocale (LC_CTYPE, "C.UTF-8"); /* or the library cannot tell names */
    archive_warm ();                 /* once shut in, nothing can be loaded */
    int error = enclose_prepare (&walls, ENCLOSE_EXTRACT);
    if (!error)
        error = enclose_prepare (&walls_over, ENCLOSE_RENEW);
    fork_serve (&argc, &argv);
    if ((argc != 7 && argc != 9 && argc != 10) || !read_limits (argv + 3, &order.limits)) {
        fprintf (stderr, "usage: gleaner-extract ARCHIVE FOLDER FILES BYTES RATIO DEPTH [DELTA SHA256 [HOW]]\n");
        return EXIT_USAGE;
    }
    order.archive = argv[1];
    order.folder = argv[2];
    order.delta = argc > 7 ? argv[7] : "";
    order.sha256 = argc > 7 ? argv[8] : "";
    order.how = argc > 9 ? argv[9] : "";
    bool over = strcmp (order.how, "over") == 0;
    int status =
        error ? tell (error, "The extractor cannot be shut in") : extract (over ? &walls_over : &walls, &order);
    fflush (stdout);
    _exit (status); /* without what libraries do at an end: that cost a small archive as much as the rest */
}
