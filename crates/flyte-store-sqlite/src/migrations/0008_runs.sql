-- Runs, their actions, and the attempts at these. Times are in milliseconds.
CREATE TABLE runs (
    pk              INTEGER PRIMARY KEY,       -- in the order of creation
    project         TEXT NOT NULL,
    domain          TEXT NOT NULL,
    name            TEXT NOT NULL,
    creator         TEXT NOT NULL,             -- stays when the principal goes
    creator_kind    INTEGER NOT NULL,          -- 0 person, 1 API key, 2 job
    creator_client  TEXT NOT NULL,
    creator_family  TEXT NOT NULL,
    creator_role    INTEGER NOT NULL,          -- 0 viewer, 1 contributor, 2 admin
    creator_project TEXT,
    creator_domain  TEXT,
    spec            BLOB NOT NULL,             -- flyteidl2.task.RunSpec
    labels          TEXT NOT NULL,             -- JSON object
    source          INTEGER NOT NULL,          -- flyteidl2.workflow.RunSource
    trigger_name    TEXT,                      -- task/trigger
    family_id       TEXT NOT NULL UNIQUE,
    output_base     TEXT NOT NULL,
    max_concurrency INTEGER NOT NULL,          -- 0 for no limit
    created_at      INTEGER NOT NULL,
    ended_at        INTEGER,
    version         INTEGER NOT NULL,          -- of the last change to one of its actions
    -- The root action's, for listings.
    phase           INTEGER NOT NULL,          -- flyteidl2.common.ActionPhase
    task_name       TEXT NOT NULL,
    task_version    TEXT NOT NULL,
    updated_at      INTEGER NOT NULL,
    UNIQUE (project, domain, name)
) STRICT;
CREATE INDEX runs_created ON runs (project, domain, created_at, pk);
CREATE INDEX runs_updated ON runs (project, domain, updated_at, pk);
CREATE INDEX runs_phase ON runs (project, domain, phase, created_at, pk);
CREATE INDEX runs_task ON runs (project, domain, task_name, created_at, pk);
CREATE INDEX runs_creator ON runs (project, domain, creator, created_at, pk);

-- Specifications, each once: that of a task which is called a thousand times is the same each time.
CREATE TABLE action_specs (
    hash BLOB PRIMARY KEY,                     -- SHA-256
    spec BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE actions (
    pk              INTEGER PRIMARY KEY,       -- in the order of creation
    run             INTEGER NOT NULL REFERENCES runs (pk) ON DELETE CASCADE,
    name            TEXT NOT NULL,
    parent          TEXT NOT NULL,             -- empty for the root
    "group"         TEXT NOT NULL,
    kind            INTEGER NOT NULL,          -- 1 task, 2 trace, 3 condition
    task_project    TEXT NOT NULL,
    task_domain     TEXT NOT NULL,
    task_name       TEXT NOT NULL,
    task_version    TEXT NOT NULL,
    task_type       TEXT NOT NULL,
    short_name      TEXT NOT NULL,
    environment     TEXT NOT NULL,
    spec_hash       BLOB NOT NULL REFERENCES action_specs (hash),
    input_uri       TEXT NOT NULL,
    output_base     TEXT NOT NULL,
    output_uri      TEXT NOT NULL,
    cache_key       TEXT,
    phase           INTEGER NOT NULL,          -- flyteidl2.common.ActionPhase
    attempts        INTEGER NOT NULL,
    user_failures   INTEGER NOT NULL,
    system_failures INTEGER NOT NULL,
    error_kind      INTEGER,                   -- 1 user, 2 system
    error_code      TEXT,
    error_message   TEXT,
    error_recoverable INTEGER,
    abort_reason    TEXT,
    aborted_by      TEXT,
    signal          BLOB,                      -- flyteidl2.core.Literal
    signalled_by    TEXT,
    subject         TEXT NOT NULL,
    created_at      INTEGER NOT NULL,
    queued_at       INTEGER NOT NULL,
    not_before      INTEGER NOT NULL,
    started_at      INTEGER,
    ended_at        INTEGER,
    updated_at      INTEGER NOT NULL,
    version         INTEGER NOT NULL,
    UNIQUE (run, name)
) STRICT;
CREATE INDEX actions_children ON actions (run, parent, version);
CREATE INDEX actions_changes ON actions (run, version);
CREATE INDEX actions_unfinished ON actions (run, parent) WHERE ended_at IS NULL;
CREATE INDEX actions_queued ON actions (run, pk) WHERE phase = 1;
CREATE INDEX actions_due ON actions (not_before) WHERE phase = 1;
CREATE INDEX actions_paused ON actions (run) WHERE phase = 9;

CREATE TABLE attempts (
    action            INTEGER NOT NULL REFERENCES actions (pk) ON DELETE CASCADE,
    number            INTEGER NOT NULL,        -- from 1
    phase             INTEGER NOT NULL,
    queued_at         INTEGER NOT NULL,
    claimed_at        INTEGER NOT NULL,
    started_at        INTEGER,
    ended_at          INTEGER,
    error_kind        INTEGER,
    error_code        TEXT,
    error_message     TEXT,
    error_recoverable INTEGER,
    PRIMARY KEY (action, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX attempts_unfinished ON attempts (action) WHERE ended_at IS NULL;
