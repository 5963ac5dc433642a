/* store_sqlite_list.c - lists of jobs, newest first, in a bounded time however many jobs there are.
 *
 * A list walks one index that holds what the filter asks for, in order of seq, and looks at each job that it finds
 * there: at the columns that the rest of the filter needs, and only for a job that it lets through at the row itself,
 * whose long columns lie in pages of their own. After so many looks it stops, and tells where to go on.
 */
#include "broker/store_sqlite.h"

#include <string.h>

#include "proto/clock.h"

enum {
    PROBE = 4000,    /* entries of each index that are counted, to walk the shortest */
    CLOCK_EVERY = 16 /* looks */
};

/* An index to walk: every one has the jobs that it holds in order of seq. */
typedef struct {
    const char *index;
    const char *join;
    const char *where;
    const char *seq;
} way_t;

typedef enum { BY_PENDING, BY_RUNNING, BY_COMPLETED, BY_FAILED, BY_WORKER, BY_OWNER, BY_LABEL, BY_SEQ } by_t;

static const way_t ways[LIST_WAYS] = {
    [BY_PENDING] = { "job INDEXED BY job_live", "", "job.state = 0 AND job.state < 2 AND", "job.seq" },
    [BY_RUNNING] = { "job INDEXED BY job_running", "", "job.state = 1 AND", "job.seq" },
    [BY_COMPLETED] = { "job INDEXED BY job_completed", "", "job.state = 2 AND", "job.seq" },
    [BY_FAILED] = { "job INDEXED BY job_failed", "", "job.state = 3 AND", "job.seq" },
    [BY_WORKER] = { "job INDEXED BY job_worker", "", "job.worker_id = ?3 AND", "job.seq" },
    [BY_OWNER] = { "job INDEXED BY job_owner", "", "job.owner = ?3 AND", "job.seq" },
    [BY_LABEL] = { "job_label", "CROSS JOIN job ON job.seq = job_label.seq", "job_label.label = ?3 AND",
                   "job_label.seq" },
    [BY_SEQ] = { "job", "", "", "job.seq" },
};

static void prepare (store_sqlite_t *self, by_t by, list_part_t part)
{
    const way_t *way = &ways[by];
    char *text =
        part == LIST_COUNT
            ? sqlite3_mprintf ("SELECT count (*) FROM (SELECT 1 FROM %s WHERE %s %s < ?1 AND %s >= ?2 LIMIT %d)",
                               way->index, way->where, way->seq, way->seq, PROBE)
            : sqlite3_mprintf (
                  "SELECT job.seq, job.salt, job.state, job.worker_id, job.owner%s FROM %s %s WHERE %s %s < ?1 AND "
                  "%s >= ?2 ORDER BY %s DESC",
                  part == LIST_TEXTS ? ", command, filename, coalesce (brief_options, options)" : "", way->index,
                  way->join, way->where, way->seq, way->seq, way->seq);
    sqlite3_prepare_v3 (self->db, text, -1, SQLITE_PREPARE_PERSISTENT, &self->lists[by][part], NULL);
    sqlite3_free (text);
}

/* The statement of a way, made when it is first used; NULL on failure. */
static sqlite3_stmt *statement (store_sqlite_t *self, by_t by, list_part_t part)
{
    if (!self->lists[by][part])
        prepare (self, by, part);
    return self->lists[by][part];
}

static void bind_way (sqlite3_stmt *sql, by_t by, const job_filter_t *filter)
{
    sqlite3_bind_int64 (sql, 1, filter->before_seq);
    sqlite3_bind_int64 (sql, 2, filter->since_ms * JOB_SEQ_PER_MS);
    if (by == BY_WORKER || by == BY_OWNER || by == BY_LABEL)
        sqlite_bind_text (sql, 3, by == BY_WORKER ? filter->worker : by == BY_OWNER ? filter->owner : filter->label);
}

/* How many jobs an index has for the filter, PROBE at most; -1 on failure. */
static int64_t count_way (store_sqlite_t *self, by_t by, const job_filter_t *filter)
{
    sqlite3_stmt *sql = statement (self, by, LIST_COUNT);
    if (!sql)
        return -1;
    bind_way (sql, by, filter);
    int64_t count = sqlite3_step (sql) == SQLITE_ROW ? sqlite3_column_int64 (sql, 0) : -1;
    sqlite3_reset (sql);
    return count;
}

/* Of the indexes that serve the filter the one with the fewest jobs. */
static by_t best_way (store_sqlite_t *self, const job_filter_t *filter)
{
    by_t may[LIST_WAYS];
    int count = 0;
    if (filter->label.ptr)
        may[count++] = BY_LABEL;
    if (filter->worker.ptr)
        may[count++] = BY_WORKER;
    if (filter->owner.ptr)
        may[count++] = BY_OWNER;
    if (filter->state >= 0) /* last: of two long ones a state's is the longer */
        may[count++] = (by_t)filter->state;
    if (count < 2)
        return count ? may[0] : BY_SEQ;
    by_t best = may[0];
    int64_t least = INT64_MAX;
    for (int i = 0; i < count; i++) {
        int64_t jobs = count_way (self, may[i], filter);
        if (jobs >= least)
            continue;
        best = may[i];
        least = jobs;
    }
    return best;
}

static bool has_label (store_sqlite_t *self, int64_t seq, slice_t label)
{
    sqlite3_stmt *sql = self->sql[SQL_LABEL_HAS];
    sqlite_bind_text (sql, 1, label);
    sqlite_bind_int (sql, 2, seq);
    bool has = sqlite3_step (sql) == SQLITE_ROW;
    sqlite3_reset (sql);
    return has;
}

/* What the way itself has not settled. */
static bool lets_through (store_sqlite_t *self, const job_filter_t *filter, by_t by, sqlite3_stmt *row)
{
    if (filter->state >= 0 && filter->state != sqlite3_column_int (row, 2))
        return false;
    if (filter->worker.ptr && !slice_eq (filter->worker, sqlite_slice (row, 3)))
        return false;
    if (filter->owner.ptr && !slice_eq (filter->owner, sqlite_slice (row, 4)))
        return false;
    if (filter->label.ptr && by != BY_LABEL && !has_label (self, sqlite3_column_int64 (row, 0), filter->label))
        return false;
    if (!filter->text.ptr)
        return true;
    job_record_t job = {
        .id.seq = sqlite3_column_int64 (row, 0),
        .command = sqlite_slice (row, 5),
        .filename = sqlite_slice (row, 6),
        .options = sqlite_slice (row, 7),
    };
    slice_copy (sqlite_slice (row, 1), job.id.salt, sizeof job.id.salt);
    return job_holds_text (&job, filter->text, self->options);
}

/* Shows the job itself to `fn`, whose answer is `*more`. */
static err_t show (store_sqlite_t *self, int64_t seq, bool brief, store_pick_fn *fn, void *ctx, bool *more)
{
    sqlite3_stmt *sql = self->sql[brief ? SQL_JOB_BRIEF : SQL_JOB_AT];
    sqlite_bind_int (sql, 1, seq);
    err_t err = ERR_NONE;
    if (sqlite3_step (sql) == SQLITE_ROW) {
        job_record_t job;
        err = sqlite_read_job (sql, &job);
        if (!err)
            *more = fn (ctx, &job);
    } else {
        err = sqlite_failed (self, "job_list");
    }
    sqlite3_reset (sql);
    return err;
}

static bool enough (int64_t looks, int64_t until_ms)
{
    bool sure = looks <= LIST_SURE || looks % CLOCK_EVERY; /* the clock is not asked */
    return looks == LIST_LOOKS_MAX || (!sure && clock_mono_ms () >= until_ms);
}

err_t sqlite_job_list (store_t *store, const job_filter_t *filter, int64_t patience_ms, store_pick_fn *fn, void *ctx,
                       int64_t *next_seq)
{
    store_sqlite_t *self = sqlite_of (store);
    int64_t until_ms = clock_mono_ms () + patience_ms;
    *next_seq = 0;
    sqlite_end_reads (self);
    err_t err = sqlite_behind_write (self);
    if (err)
        return err;
    by_t by = best_way (self, filter);
    sqlite3_stmt *sql = statement (self, by, filter->text.ptr ? LIST_TEXTS : LIST_PLAIN);
    if (!sql)
        return sqlite_failed (self, "job_list");
    bind_way (sql, by, filter);
    int code = SQLITE_ROW;
    bool more = true;
    for (int64_t looks = 0; !err && more && (code = sqlite3_step (sql)) == SQLITE_ROW; looks++) {
        int64_t seq = sqlite3_column_int64 (sql, 0);
        if (enough (looks, until_ms))
            more = false;
        else if (lets_through (self, filter, by, sql))
            err = show (self, seq, filter->brief, fn, ctx, &more);
        *next_seq = more ? 0 : seq + 1;
    }
    if (!err && code != SQLITE_ROW && code != SQLITE_DONE)
        err = sqlite_failed (self, sqlite3_sql (sql));
    sqlite3_reset (sql);
    return err;
}
