-- What was deployed: versions of tasks, triggers, apps. Messages are as on the wire.
CREATE TABLE task_versions (
    id                INTEGER PRIMARY KEY AUTOINCREMENT,  -- in the order of deployment
    project           TEXT NOT NULL,
    domain            TEXT NOT NULL,
    name              TEXT NOT NULL,
    version           TEXT NOT NULL,
    short_name        TEXT NOT NULL,
    environment       TEXT NOT NULL,
    short_description TEXT NOT NULL,
    entrypoint        INTEGER NOT NULL,
    deployed_by       TEXT NOT NULL,                      -- stays when that principal goes
    deployed_by_kind  TEXT NOT NULL,
    deployed_at       INTEGER NOT NULL,
    digest            BLOB NOT NULL,                      -- SHA-256 of what the specification says
    spec              BLOB NOT NULL,                      -- flyteidl2.task.TaskSpec
    UNIQUE (project, domain, name, version)
) STRICT;
CREATE INDEX task_versions_order ON task_versions (project, domain, name, id);

-- One row for each name: the version deployed last.
CREATE TABLE tasks (
    project TEXT NOT NULL,
    domain  TEXT NOT NULL,
    name    TEXT NOT NULL,
    latest  INTEGER NOT NULL UNIQUE REFERENCES task_versions (id),
    PRIMARY KEY (project, domain, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX tasks_order ON tasks (project, domain, latest);
CREATE INDEX tasks_name ON tasks (name, project, domain);

CREATE TABLE triggers (
    id               INTEGER PRIMARY KEY AUTOINCREMENT,   -- in the order in which they first came
    project          TEXT NOT NULL,
    domain           TEXT NOT NULL,
    task             TEXT NOT NULL,
    name             TEXT NOT NULL,
    revision         INTEGER NOT NULL,
    task_version     TEXT NOT NULL,
    active           INTEGER NOT NULL,
    spec             BLOB NOT NULL,                       -- flyteidl2.trigger.TriggerSpec
    automation       BLOB NOT NULL,                       -- flyteidl2.task.TriggerAutomationSpec
    deployed_by      TEXT NOT NULL,
    deployed_by_kind TEXT NOT NULL,
    deployed_at      INTEGER NOT NULL,
    updated_by       TEXT NOT NULL,
    updated_by_kind  TEXT NOT NULL,
    updated_at       INTEGER NOT NULL,
    triggered_at     INTEGER,                             -- when it last fired
    due_at           INTEGER,                             -- when it fires next; NULL where it does not
    UNIQUE (project, domain, task, name)
) STRICT;
CREATE INDEX triggers_due ON triggers (due_at) WHERE due_at IS NOT NULL;

-- What each trigger was; stays when it is deleted.
CREATE TABLE trigger_revisions (
    project          TEXT NOT NULL,
    domain           TEXT NOT NULL,
    task             TEXT NOT NULL,
    name             TEXT NOT NULL,
    revision         INTEGER NOT NULL,
    action           INTEGER NOT NULL,                    -- flyteidl2.trigger.TriggerRevisionAction
    task_version     TEXT NOT NULL,
    active           INTEGER NOT NULL,
    spec             BLOB NOT NULL,
    automation       BLOB NOT NULL,
    deployed_by      TEXT NOT NULL,
    deployed_by_kind TEXT NOT NULL,
    deployed_at      INTEGER NOT NULL,
    updated_by       TEXT NOT NULL,
    updated_by_kind  TEXT NOT NULL,
    updated_at       INTEGER NOT NULL,
    triggered_at     INTEGER,
    PRIMARY KEY (project, domain, task, name, revision)
) STRICT, WITHOUT ROWID;

CREATE TABLE apps (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,    -- in the order in which they were created
    project         TEXT NOT NULL,
    domain          TEXT NOT NULL,
    name            TEXT NOT NULL,
    revision        INTEGER NOT NULL,
    metadata        BLOB NOT NULL,                        -- flyteidl2.app.Meta
    spec            BLOB NOT NULL,                        -- flyteidl2.app.Spec
    wanted          INTEGER NOT NULL,                     -- whether it is to run
    status          TEXT NOT NULL,                        -- the status of the last condition
    conditions      TEXT NOT NULL,                        -- JSON array, the latest last
    created_by      TEXT NOT NULL,
    created_by_kind TEXT NOT NULL,
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL,
    started_at      INTEGER,
    port            INTEGER,                              -- of the loopback interface, while a process has it
    process         INTEGER,                              -- number of the process that belongs to it
    process_revision INTEGER,                             -- the revision that it was started for
    processes       INTEGER NOT NULL DEFAULT 0,           -- how many there were
    UNIQUE (project, domain, name)
) STRICT;
CREATE INDEX apps_order ON apps (project, domain, id);
CREATE INDEX apps_busy ON apps (id) WHERE wanted OR process IS NOT NULL;
