-- Issuers whose users are not connected to an account by its address any more, because a connection was removed.
CREATE TABLE removed_connections (
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    issuer  TEXT NOT NULL,
    PRIMARY KEY (user_id, issuer)
) STRICT, WITHOUT ROWID;
