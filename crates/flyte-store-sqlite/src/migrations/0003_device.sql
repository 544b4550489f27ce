-- Devices that wait for a person (RFC 8628); redeeming an approved one turns its row into a row of `families`.
CREATE TABLE devices (
    device_code_hash BLOB PRIMARY KEY,       -- SHA-256 of the device code
    user_code_hash   BLOB NOT NULL UNIQUE,   -- SHA-256 of the user code
    family_id        TEXT NOT NULL,
    client_id        TEXT NOT NULL,
    scopes           TEXT NOT NULL,          -- JSON array
    audience         TEXT,
    address          TEXT NOT NULL,          -- where the device asked from
    poll_interval    INTEGER NOT NULL,       -- seconds; longer each time that the device asked too soon
    polled_at        INTEGER,
    created_at       INTEGER NOT NULL,
    expires_at       INTEGER NOT NULL,
    decided_at       INTEGER,                -- NULL while it waits
    user_id          TEXT REFERENCES users (id) ON DELETE CASCADE,  -- who approved; NULL with decided_at: denied
    authenticated_at INTEGER,
    CHECK (user_id IS NULL OR decided_at IS NOT NULL),
    CHECK ((user_id IS NULL) = (authenticated_at IS NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX devices_user ON devices (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX devices_expiry ON devices (expires_at);
