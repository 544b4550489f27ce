-- Confidential clients of the client credentials grant.
CREATE TABLE api_keys (
    client_id           TEXT PRIMARY KEY,
    name                TEXT NOT NULL UNIQUE,
    secret_hash         BLOB,                -- SHA-256 of the secret; NULL with jwks
    previous_hash       BLOB,                -- the secret before the last rotation
    previous_expires_at INTEGER,
    jwks                TEXT,                -- public keys of one that signs assertions
    role                INTEGER NOT NULL,    -- 0 viewer, 1 contributor, 2 admin
    scopes              TEXT NOT NULL,       -- JSON array
    project             TEXT,
    domain              TEXT,
    created_by          TEXT NOT NULL,       -- stays when that person goes
    created_at          INTEGER NOT NULL,
    expires_at          INTEGER,
    last_used_at        INTEGER,
    family_id           TEXT NOT NULL,
    CHECK ((secret_hash IS NULL) <> (jwks IS NULL)),
    CHECK ((previous_hash IS NULL) = (previous_expires_at IS NULL)),
    CHECK (domain IS NULL OR project IS NOT NULL)
) STRICT, WITHOUT ROWID;
CREATE INDEX api_keys_created ON api_keys (created_at, client_id);
CREATE INDEX api_keys_creator ON api_keys (created_by, created_at, client_id);

-- Secrets of deleted keys, so that their use is not mistaken for a stranger's guess; kept for a year.
CREATE TABLE deleted_api_keys (
    secret_hash BLOB PRIMARY KEY,
    client_id   TEXT NOT NULL,
    deleted_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX deleted_api_keys_time ON deleted_api_keys (deleted_at);

-- Client assertions that were presented and have not expired: SHA-256 of client and jti.
CREATE TABLE spent_assertions (
    hash       BLOB PRIMARY KEY,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX spent_assertions_expiry ON spent_assertions (expires_at);

-- Public keys of a client that signs assertions instead of sending a secret.
ALTER TABLE clients ADD COLUMN jwks TEXT;
