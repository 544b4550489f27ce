-- Results that later calls of the same task with the same inputs take over. An entry holds no outputs; it names the action
-- that has them.
ALTER TABLE actions ADD COLUMN cache_lookup INTEGER NOT NULL DEFAULT 0;     -- whether a cached result is taken
ALTER TABLE actions ADD COLUMN cache_serialize INTEGER NOT NULL DEFAULT 0;  -- whether it waits for others of the same key
ALTER TABLE actions ADD COLUMN cache_max_age INTEGER;                       -- milliseconds
ALTER TABLE actions ADD COLUMN cache_status INTEGER NOT NULL DEFAULT 0;     -- flyteidl2.core.CatalogCacheStatus
ALTER TABLE actions ADD COLUMN cached_from INTEGER;                         -- the action whose result it takes, or took
CREATE INDEX actions_cache_key ON actions (cache_key) WHERE cache_key IS NOT NULL AND ended_at IS NULL;
CREATE INDEX actions_cached ON actions (pk) WHERE phase = 1 AND cached_from IS NOT NULL;

CREATE TABLE cached_results (
    project    TEXT NOT NULL,
    domain     TEXT NOT NULL,
    task       TEXT NOT NULL,                -- project/domain/name
    key        TEXT NOT NULL,                -- task, version, interface and inputs, as a hash
    action     INTEGER NOT NULL REFERENCES actions (pk) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    used_at    INTEGER NOT NULL,
    PRIMARY KEY (project, domain, task, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX cached_results_action ON cached_results (action);
CREATE INDEX cached_results_used ON cached_results (used_at);
