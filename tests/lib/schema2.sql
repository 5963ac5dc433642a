-- A data directory's database as schema 2 had it; what stands in it is the test's.
CREATE TABLE job (seq INTEGER PRIMARY KEY, salt TEXT NOT NULL, command TEXT NOT NULL, file_url TEXT NOT NULL,
    filename TEXT NOT NULL, timeout_ms INTEGER NOT NULL, max_attempts INTEGER NOT NULL, created_ms INTEGER NOT NULL,
    pinned TEXT, state INTEGER NOT NULL, attempt INTEGER NOT NULL, worker_id TEXT, candidates TEXT, token TEXT,
    slot INTEGER, started_ms INTEGER NOT NULL, completed_ms INTEGER NOT NULL, exit_code INTEGER, reason TEXT,
    error_message TEXT, stdout BLOB, stderr BLOB, stdout_bytes INTEGER, stderr_bytes INTEGER, options BLOB,
    idempotency_key TEXT, request_hash BLOB, not_before_ms INTEGER NOT NULL DEFAULT 0, signal INTEGER, receipt BLOB,
    artifacts TEXT, purged INTEGER NOT NULL DEFAULT 0);
CREATE INDEX job_live ON job (seq) WHERE state < 2;
CREATE UNIQUE INDEX job_key ON job (idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX job_over ON job (completed_ms) WHERE completed_ms > 0;
CREATE INDEX job_failed ON job (seq) WHERE state = 3;
CREATE INDEX job_worker ON job (worker_id, seq) WHERE worker_id IS NOT NULL;
CREATE TABLE job_label (label TEXT, seq INTEGER, PRIMARY KEY (label, seq)) WITHOUT ROWID;
CREATE TABLE attempt (seq INTEGER, attempt INTEGER, worker_id TEXT, token TEXT, accepted INTEGER NOT NULL, reason TEXT,
    error_message TEXT, exit_code INTEGER, signal INTEGER, started_ms INTEGER NOT NULL, completed_ms INTEGER NOT NULL,
    stdout BLOB, stderr BLOB, late_ms INTEGER NOT NULL, late_exit_code INTEGER, late_reason TEXT,
    PRIMARY KEY (seq, attempt)) WITHOUT ROWID;
CREATE TABLE worker (worker_id TEXT PRIMARY KEY, hostname TEXT NOT NULL, os TEXT, version TEXT, machine TEXT,
    remote_addr TEXT, cpu_count INTEGER, slots INTEGER, registered_ms INTEGER NOT NULL, last_seen_ms INTEGER NOT NULL,
    online INTEGER NOT NULL, labels TEXT, asleep_until_ms INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE TABLE blob (sha256 TEXT PRIMARY KEY, bytes INTEGER NOT NULL, refs INTEGER NOT NULL,
    used_ms INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX blob_unused ON blob (used_ms) WHERE refs = 0;
CREATE TABLE total (name TEXT PRIMARY KEY, bytes INTEGER NOT NULL) WITHOUT ROWID;
PRAGMA application_id = 1735159410;
PRAGMA user_version = 2;
