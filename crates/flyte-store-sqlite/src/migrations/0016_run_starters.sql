-- The principals that started runs of a backend behind this server, whose rights limit those of the runs' pods.
CREATE TABLE run_starters (
    project       TEXT NOT NULL,
    domain        TEXT NOT NULL,
    name          TEXT NOT NULL,
    subject       TEXT NOT NULL,             -- stays when the principal goes
    kind          INTEGER NOT NULL,          -- 0 person, 1 API key, 2 job
    client_id     TEXT NOT NULL,
    family_id     TEXT NOT NULL,
    role          INTEGER NOT NULL,          -- 0 viewer, 1 contributor, 2 admin
    limit_project TEXT,
    limit_domain  TEXT,
    started_at    INTEGER NOT NULL,          -- milliseconds
    PRIMARY KEY (project, domain, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX run_starters_started ON run_starters (started_at);
