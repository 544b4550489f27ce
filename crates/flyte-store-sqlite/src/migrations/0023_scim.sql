-- Keys of SCIM clients.
CREATE TABLE scim_keys (
    name         TEXT PRIMARY KEY,
    client       TEXT NOT NULL,              -- owns what it provisions
    secret_hash  BLOB NOT NULL UNIQUE,       -- SHA-256 of the secret
    adopts       INTEGER NOT NULL,           -- whether it takes over existing accounts
    role         TEXT,                       -- of new accounts
    issuer       TEXT,                       -- whose `sub` the externalId is
    created_by   TEXT NOT NULL,
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER,
    last_used_at INTEGER
) STRICT, WITHOUT ROWID;

-- Accounts that a SCIM client provisioned. `pk` is the order of creation, in which they are listed.
CREATE TABLE scim_users (
    pk            INTEGER PRIMARY KEY,
    user_id       TEXT NOT NULL UNIQUE REFERENCES users (id) ON DELETE CASCADE,
    client        TEXT NOT NULL,
    user_name     TEXT NOT NULL,
    user_name_key TEXT NOT NULL,             -- in lower case
    external_id   TEXT,
    display_key   TEXT,                      -- displayName in lower case
    adopted       INTEGER NOT NULL,          -- whether the account existed before
    deactivated   INTEGER NOT NULL,          -- whether the client disabled the account, and so may enable it
    attributes    TEXT NOT NULL,             -- JSON object
    version       INTEGER NOT NULL,
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL
) STRICT;
CREATE INDEX scim_users_client ON scim_users (client, pk);
CREATE UNIQUE INDEX scim_users_name ON scim_users (client, user_name_key);
CREATE UNIQUE INDEX scim_users_external ON scim_users (client, external_id) WHERE external_id IS NOT NULL;
CREATE INDEX scim_users_display ON scim_users (client, display_key);

-- The addresses of each, for searches.
CREATE TABLE scim_emails (
    email_key TEXT NOT NULL,                 -- in lower case
    user_id   TEXT NOT NULL REFERENCES scim_users (user_id) ON DELETE CASCADE,
    PRIMARY KEY (email_key, user_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX scim_emails_user ON scim_emails (user_id);

-- Groups that a SCIM client provisioned.
CREATE TABLE scim_groups (
    pk          INTEGER PRIMARY KEY,
    group_id    TEXT NOT NULL UNIQUE REFERENCES groups (id) ON DELETE CASCADE,
    client      TEXT NOT NULL,
    external_id TEXT,
    version     INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL
) STRICT;
CREATE INDEX scim_groups_client ON scim_groups (client, pk);
CREATE UNIQUE INDEX scim_groups_external ON scim_groups (client, external_id) WHERE external_id IS NOT NULL;

-- Versions, which are the ETags, also grow with changes that others make.
CREATE TRIGGER scim_user_changed AFTER UPDATE OF email, name, disabled_at ON users BEGIN
    UPDATE scim_users SET version = version + 1 WHERE user_id = NEW.id; END;
CREATE TRIGGER scim_group_changed AFTER UPDATE OF name ON groups BEGIN
    UPDATE scim_groups SET version = version + 1 WHERE group_id = NEW.id; END;
CREATE TRIGGER scim_member_added AFTER INSERT ON group_members BEGIN
    UPDATE scim_groups SET version = version + 1 WHERE group_id = NEW.group_id; END;
CREATE TRIGGER scim_member_removed AFTER DELETE ON group_members BEGIN
    UPDATE scim_groups SET version = version + 1 WHERE group_id = OLD.group_id; END;
