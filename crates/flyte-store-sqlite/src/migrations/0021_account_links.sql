-- One-time links for accounts that have not been used yet.
CREATE TABLE account_links (
    token_hash BLOB PRIMARY KEY,             -- SHA-256 of the token
    id         TEXT NOT NULL UNIQUE,
    purpose    INTEGER NOT NULL,             -- 0 password, 1 invitation, 2 e-mail address
    user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    email      TEXT NOT NULL,                -- as the account had it
    email_key  TEXT NOT NULL,                -- in lower case: the account must still have it
    new_email  TEXT,
    mailed     INTEGER NOT NULL,             -- whether only mail to the address has the link
    created_by TEXT,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    sort_key   TEXT GENERATED ALWAYS AS (email_key || ' ' || purpose) VIRTUAL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX account_links_user ON account_links (user_id, purpose);
CREATE UNIQUE INDEX account_links_order ON account_links (sort_key);
CREATE INDEX account_links_expiry ON account_links (expires_at);
