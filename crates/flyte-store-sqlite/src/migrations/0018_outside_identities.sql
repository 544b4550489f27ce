-- Users of outside providers, and the accounts that they sign in to.
CREATE TABLE outside_identities (
    issuer          TEXT NOT NULL,
    subject         TEXT NOT NULL,
    provider        TEXT NOT NULL,           -- section of the settings at the last sign-in
    user_id         TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    email           TEXT,                    -- at the provider, for display
    linked_at       INTEGER NOT NULL,
    last_sign_in_at INTEGER,
    PRIMARY KEY (issuer, subject)
) STRICT, WITHOUT ROWID;
CREATE INDEX outside_identities_user ON outside_identities (user_id);

-- Addresses that users have proved to control. A proof counts only while it is for the account's address.
CREATE TABLE email_proofs (
    user_id   TEXT PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    email_key TEXT NOT NULL,
    proved_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
