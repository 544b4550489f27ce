-- Revoked families that have no row in `families`, since no person's authorization began them, and single access tokens,
-- by their `jti`. Kept as long as a token that they end may live.
CREATE TABLE revocations (
    id         TEXT PRIMARY KEY,
    revoked_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX revocations_time ON revocations (revoked_at);
