-- Browser sessions, and families of devices, that began with a sign-in through an outside provider. A row stays as long as the
-- session or a family of it.
CREATE TABLE outside_sessions (
    session_id      TEXT PRIMARY KEY,
    issuer          TEXT NOT NULL,
    subject         TEXT NOT NULL,
    sid             TEXT,                    -- of the provider's session
    hidden_id_token BLOB,                    -- encrypted with the key file
    started_at      INTEGER NOT NULL,
    FOREIGN KEY (issuer, subject) REFERENCES outside_identities (issuer, subject) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX outside_sessions_identity ON outside_sessions (issuer, subject, started_at);
CREATE INDEX outside_sessions_sid ON outside_sessions (issuer, sid) WHERE sid IS NOT NULL;

-- When a provider is asked again about a user who is signed in, and with which token.
CREATE TABLE provider_grants (
    issuer        TEXT NOT NULL,
    subject       TEXT NOT NULL,
    hidden_token  BLOB,                      -- encrypted with the key file; NULL: the provider gave none
    checked_at    INTEGER NOT NULL,
    due_at        INTEGER NOT NULL,
    failing_since INTEGER,
    PRIMARY KEY (issuer, subject),
    FOREIGN KEY (issuer, subject) REFERENCES outside_identities (issuer, subject) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX provider_grants_due ON provider_grants (due_at);

-- The browser session that approved a device.
ALTER TABLE devices ADD COLUMN session_id TEXT;
