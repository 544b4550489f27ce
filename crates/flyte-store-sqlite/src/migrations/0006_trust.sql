-- Rules by which other issuers' tokens are exchanged for ours.
CREATE TABLE trust_rules (
    name           TEXT PRIMARY KEY,
    issuer         TEXT NOT NULL,
    audience       TEXT NOT NULL,
    claims         TEXT NOT NULL,            -- JSON object of patterns
    jwks_uri       TEXT,
    role           INTEGER NOT NULL,         -- 0 viewer, 1 contributor, 2 admin
    scopes         TEXT NOT NULL,            -- JSON array
    project        TEXT,
    domain         TEXT,
    token_lifetime INTEGER,
    created_by     TEXT NOT NULL,            -- stays when that person goes
    created_at     INTEGER NOT NULL,
    last_used_at   INTEGER,
    family_id      TEXT NOT NULL UNIQUE,
    CHECK (domain IS NULL OR project IS NOT NULL)
) STRICT, WITHOUT ROWID;
CREATE INDEX trust_rules_issuer ON trust_rules (issuer, name);
