/* limits.h - the bounds that every Gleaner program agrees on.
 *
 * A value beyond its bound is refused with SCHEMA and the field's name (rule 12 of README.md), never cut.
 */
#ifndef GLEANER_LIMITS_H
#define GLEANER_LIMITS_H

enum {
    PROTOCOL_VERSION = 1,

    ID_MAX = 128,             /* job, worker and upload ids, request ids */
    TOKEN_MAX = 64,           /* a lease's fencing token */
    AUTH_MAX = 4096,          /* what a sender shows to say who it is: a token, or a JWT */
    NAME_MAX_BYTES = 255,     /* host names, versions, codes, addresses */
    FILENAME_MAX_BYTES = 255, /* one path component */
    URL_MAX = 2048,
    COMMAND_MAX = 64 * 1024,
    ERROR_TEXT_MAX = 4096,
    SHA256_HEX = 64,
    ENV_MAX = 64 * 1024,           /* a job's environment, as lines KEY=VALUE */
    SECRETS_MAX = 64 * 1024,       /* a job's secrets, as rows KEY=VALUE */
    SECRET_MIN = 4,                /* bytes of one: a shorter one would be found everywhere in the output */
    SEALED_MAX = SECRETS_MAX + 64, /* secrets as the record has them */
    LABELS_MAX = 4 * 1024,         /* labels or requirements, likewise */
    GLOBS_MAX = 4 * 1024,          /* artifact patterns, as lines */
    RETRY_EXITS_MAX = 1024,        /* exit codes, as lines */
    PRIORITY_MAX = 1000,
    LAST_LINES_MAX = 2 * 1024,

    FRAME_MAX = 1024 * 1024,         /* a request's body frame; the broker closes on a peer that sends more */
    REPLY_MAX = 4 * 1024 * 1024,     /* a reply's body frame */
    CHUNK_MAX = 256 * 1024,          /* bytes of a blob or an output in one message */
    INLINE_MAX = 256 * 1024,         /* bytes of a stream inside a result; more is appended with job-output first */
    STORE_INLINE_MAX = 16 * 1024,    /* a finished stream up to this size lives in the store, a longer one in a file */
    FOLLOW_MAX = 128 * 1024,         /* bytes of each stream in one job-follow-ok */
    STATUS_OUTPUT_MAX = 1024 * 1024, /* bytes of a stream shown by job-status */
    LIST_OUTPUT_MAX = 4 * 1024,      /* bytes of a stream shown by job-list */
    DEPTH_MAX = 8,                   /* nesting of a message */

    ATTEMPT_MAX = 1000,
    ATTEMPTS_SHOWN_MAX = 50, /* attempts in one job-status-ok, the newest */
    AUDIT_MAX = 500,         /* entries in one audit-read-ok */
    TOKENS_MAX = 500,        /* identities in one token-list-ok */
    TOKEN_NAME_MAX = 64,     /* a token's name */
    TOKEN_LIFE_MIN = 1000,   /* ms that it counts, at least */
    EVENTS_MAX = 500,        /* events in one events-read-ok */
    STATS_POINTS_MAX = 288,  /* in one stats-read-ok */
    STATS_REASONS_MAX = 64,  /* likewise */
    ACTIVITY_CELLS = 96,     /* quarters of an hour that are kept of a worker */
    GATEWAYS_MAX = 64,       /* listed; one more is refused */
    USAGE_GROUPS_MAX = 1000, /* groups in one usage-read-ok, and one more for all others */
    METRICS_MAX = 1024,      /* samples in one metrics-read-ok: more than there are */
    REFUSALS_MAX = 256,      /* codes in one broker-info-ok: more than there are */
    BACKOFF_MAX = 24 * 60 * 60 * 1000,
    SLOTS_MAX = 1024,
    CPU_MAX = 65536,
    CPUS_MAX = 1024 * 100,         /* processors that a job may ask for, in hundredths */
    JOB_MB_MAX = 16 * 1024 * 1024, /* memory or disk that it may ask for, MiB */
    PIDS_MAX = 4 * 1024 * 1024,    /* processes and threads */
    LOAD_MAX = 1000 * 1000,        /* percent of all processors */
    EXIT_MAX = 0x7fffffff,
    SIGNAL_MAX = 128,
    LIST_MAX = 500, /* jobs in one job-list-ok */
    LIST_DEFAULT = 50,
    BRIEF_COMMAND_MAX = 200,  /* bytes of a command in a brief job-list-ok */
    WORKERS_MAX = 10000,      /* workers in the registry; one more is refused */
    WAIT_MAX = 5 * 60 * 1000, /* patience of a parked request, ms */
    TIMEOUT_DEFAULT_MS = 60 * 60 * 1000,
    ATTEMPTS_DEFAULT = 3,
    OUTPUT_MAX_DEFAULT = 64 * 1024 * 1024, /* bytes kept of what is printed, of each stream */
    JOURNAL_MAX = 8 * 1024 * 1024,         /* and of a journal */
};

/* Of a project: what `gleaner` packs, and what a worker unpacks unless its options say otherwise. */
#define ARCHIVE_FILES_DEFAULT 100000 /* files and folders, those too that are only part of a path */
#define ARCHIVE_DEPTH_DEFAULT 32     /* parts of a path */

#define TIMEOUT_MAX    (30LL * 24 * 60 * 60 * 1000)    /* ms an attempt may run */
#define TOKEN_LIFE_MAX (36500LL * 24 * 60 * 60 * 1000) /* ms that a token counts */
#define TARIFF_MAX     (1000LL * 1000 * 1000 * 1000)   /* millionths of a currency's unit */
#define TIME_MAX       253402300799999LL               /* ms since the epoch, end of year 9999 */
#define OFFSET_MAX     (1LL << 53)                     /* bytes; exact as a JSON number */
#define COUNT_MAX      (1LL << 53)

#endif
