-- People who can sign in.
CREATE TABLE users (
    id            TEXT PRIMARY KEY,
    email         TEXT NOT NULL,             -- as given
    email_key     TEXT NOT NULL UNIQUE,      -- in lower case: what signing in compares
    name          TEXT NOT NULL,
    password_hash TEXT,                      -- PHC string; NULL where the person signs in elsewhere
    admin         INTEGER NOT NULL,
    created_at    INTEGER NOT NULL,
    disabled_at   INTEGER
) STRICT, WITHOUT ROWID;

-- Signed-in browsers.
CREATE TABLE sessions (
    cookie_hash      BLOB PRIMARY KEY,       -- SHA-256 of the cookie
    id               TEXT NOT NULL UNIQUE,
    user_id          TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    authenticated_at INTEGER NOT NULL,
    expires_at       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_user ON sessions (user_id);
CREATE INDEX sessions_expiry ON sessions (expires_at);

-- OAuth clients; the lists are JSON arrays.
CREATE TABLE clients (
    id                        TEXT PRIMARY KEY,
    name                      TEXT NOT NULL,
    confidential              INTEGER NOT NULL,
    secret_hash               BLOB,          -- SHA-256 of the secret
    redirect_uris             TEXT NOT NULL,
    post_logout_redirect_uris TEXT NOT NULL,
    grant_types               TEXT NOT NULL,
    scopes                    TEXT NOT NULL,
    first_party               INTEGER NOT NULL,
    created_at                INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE consents (
    user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    client_id  TEXT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    scopes     TEXT NOT NULL,                -- JSON array
    granted_at INTEGER NOT NULL,
    PRIMARY KEY (user_id, client_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX consents_client ON consents (client_id);

-- Unredeemed codes; redeeming one turns its row into a row of `families`.
CREATE TABLE codes (
    code_hash        BLOB PRIMARY KEY,       -- SHA-256 of the code
    family_id        TEXT NOT NULL,
    client_id        TEXT NOT NULL,
    user_id          TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    session_id       TEXT NOT NULL,
    authenticated_at INTEGER NOT NULL,
    redirect_uri     TEXT NOT NULL,
    code_challenge   TEXT NOT NULL,
    scopes           TEXT NOT NULL,          -- JSON array
    audience         TEXT,
    nonce            TEXT,
    expires_at       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX codes_user ON codes (user_id);
CREATE INDEX codes_session ON codes (session_id);
CREATE INDEX codes_expiry ON codes (expires_at);

-- All that came of one authorization. `pk` is small and grows, so that the index from tokens to families stays dense.
CREATE TABLE families (
    pk               INTEGER PRIMARY KEY,
    id               TEXT NOT NULL UNIQUE,
    code_hash        BLOB NOT NULL UNIQUE,   -- the code that began it: shows a replay
    client_id        TEXT NOT NULL,
    user_id          TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    session_id       TEXT NOT NULL,
    authenticated_at INTEGER NOT NULL,
    scopes           TEXT NOT NULL,          -- JSON array
    audience         TEXT,
    created_at       INTEGER NOT NULL,
    revoked_at       INTEGER,
    ends_at          INTEGER                 -- when the row may go; NULL while a refresh token is alive
) STRICT;
CREATE INDEX families_user ON families (user_id);
CREATE INDEX families_session ON families (session_id);
CREATE INDEX families_revoked ON families (revoked_at) WHERE revoked_at IS NOT NULL;
CREATE INDEX families_end ON families (ends_at) WHERE ends_at IS NOT NULL;

-- Refresh tokens, the superseded ones too until they would have expired: presenting one of those is reuse.
CREATE TABLE refresh_tokens (
    token_hash    BLOB PRIMARY KEY,          -- SHA-256 of the token
    family        INTEGER NOT NULL REFERENCES families (pk) ON DELETE CASCADE,
    expires_at    INTEGER NOT NULL,
    superseded_at INTEGER,                   -- NULL while it is the newest
    successor     BLOB,                      -- token_hash of what superseded it; NULL with superseded_at: void
    CHECK (successor IS NULL OR superseded_at IS NOT NULL)
) STRICT, WITHOUT ROWID;
CREATE INDEX refresh_tokens_family ON refresh_tokens (family);
CREATE INDEX refresh_tokens_expiry ON refresh_tokens (expires_at);

-- Keys that sign tokens, sealed by the server's key file.
CREATE TABLE signing_keys (
    id                 TEXT PRIMARY KEY,     -- kid
    algorithm          TEXT NOT NULL,
    sealed_private_key BLOB NOT NULL,
    state              INTEGER NOT NULL,     -- 0 published, 1 active, 2 retired
    created_at         INTEGER NOT NULL,
    state_since        INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE projects (
    id          TEXT PRIMARY KEY,
    name        TEXT NOT NULL,
    description TEXT NOT NULL,
    labels      TEXT NOT NULL,               -- JSON object
    state       INTEGER NOT NULL,            -- flyteidl2.project.ProjectState
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX projects_created ON projects (created_at, id);
CREATE INDEX projects_updated ON projects (updated_at, id);
CREATE INDEX projects_name ON projects (name, id);
