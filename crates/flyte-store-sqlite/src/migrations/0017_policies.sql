-- Groups of people. Those with a provider mirror a group of that provider.
CREATE TABLE groups (
    id          TEXT PRIMARY KEY,
    name        TEXT NOT NULL,
    name_key    TEXT NOT NULL,               -- in lower case
    description TEXT NOT NULL,
    provider    TEXT,
    external_id TEXT,                        -- the provider's immutable identifier
    created_at  INTEGER NOT NULL,
    CHECK ((provider IS NULL) = (external_id IS NULL))
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX groups_name ON groups (name_key) WHERE provider IS NULL;
CREATE UNIQUE INDEX groups_origin ON groups (provider, external_id) WHERE provider IS NOT NULL;
CREATE INDEX groups_order ON groups (name_key, id);

CREATE TABLE group_members (
    group_id TEXT NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
    user_id  TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    PRIMARY KEY (group_id, user_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX group_members_user ON group_members (user_id);

-- Roles beside viewer, contributor and admin.
CREATE TABLE roles (
    name        TEXT PRIMARY KEY,
    description TEXT NOT NULL,
    created_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE role_permissions (
    role       TEXT NOT NULL REFERENCES roles (name) ON DELETE CASCADE,
    permission TEXT NOT NULL,
    PRIMARY KEY (role, permission)
) STRICT, WITHOUT ROWID;

-- Named lists of bindings.
CREATE TABLE policies (
    name        TEXT PRIMARY KEY,
    description TEXT NOT NULL,
    created_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Who has which role, and where. An empty project or domain means all.
CREATE TABLE bindings (
    subject_kind INTEGER NOT NULL,           -- 0 user, 1 group, 2 API key, 3 policy
    subject      TEXT NOT NULL,
    role         TEXT NOT NULL,
    project      TEXT NOT NULL,
    domain       TEXT NOT NULL,
    created_at   INTEGER NOT NULL,
    PRIMARY KEY (subject_kind, subject, role, project, domain)
) STRICT, WITHOUT ROWID;
CREATE INDEX bindings_role ON bindings (role, project, domain);

-- Which policies are assigned to users, groups and API keys.
CREATE TABLE policy_assignments (
    policy       TEXT NOT NULL REFERENCES policies (name) ON DELETE CASCADE,
    subject_kind INTEGER NOT NULL CHECK (subject_kind < 3),
    subject      TEXT NOT NULL,
    created_at   INTEGER NOT NULL,
    PRIMARY KEY (policy, subject_kind, subject)
) STRICT, WITHOUT ROWID;
CREATE INDEX policy_assignments_subject ON policy_assignments (subject_kind, subject);

-- Grows with each change of a row that decides about rights.
CREATE TABLE policy_generation (
    id         INTEGER PRIMARY KEY CHECK (id = 0),
    generation INTEGER NOT NULL
) STRICT;
INSERT INTO policy_generation VALUES (0, 1);

-- Each account keeps the rights that it has.
INSERT INTO bindings
SELECT 0, id, CASE admin WHEN 0 THEN 'contributor' ELSE 'admin' END, '', '', created_at FROM users;
ALTER TABLE users DROP COLUMN admin;

CREATE TRIGGER group_member_added AFTER INSERT ON group_members BEGIN
    UPDATE policy_generation SET generation = generation + 1; END;
CREATE TRIGGER group_member_removed AFTER DELETE ON group_members BEGIN
    UPDATE policy_generation SET generation = generation + 1; END;
CREATE TRIGGER role_permission_added AFTER INSERT ON role_permissions BEGIN
    UPDATE policy_generation SET generation = generation + 1; END;
CREATE TRIGGER role_permission_removed AFTER DELETE ON role_permissions BEGIN
    UPDATE policy_generation SET generation = generation + 1; END;
CREATE TRIGGER binding_added AFTER INSERT ON bindings BEGIN
    UPDATE policy_generation SET generation = generation + 1; END;
CREATE TRIGGER binding_removed AFTER DELETE ON bindings BEGIN
    UPDATE policy_generation SET generation = generation + 1; END;
CREATE TRIGGER policy_assigned AFTER INSERT ON policy_assignments BEGIN
    UPDATE policy_generation SET generation = generation + 1; END;
CREATE TRIGGER policy_unassigned AFTER DELETE ON policy_assignments BEGIN
    UPDATE policy_generation SET generation = generation + 1; END;

-- A later subject with the same identifier is another one.
CREATE TRIGGER user_deleted AFTER DELETE ON users BEGIN
    DELETE FROM bindings WHERE subject_kind = 0 AND subject = OLD.id;
    DELETE FROM policy_assignments WHERE subject_kind = 0 AND subject = OLD.id;
    UPDATE policy_generation SET generation = generation + 1;
END;
CREATE TRIGGER group_deleted AFTER DELETE ON groups BEGIN
    DELETE FROM bindings WHERE subject_kind = 1 AND subject = OLD.id;
    DELETE FROM policy_assignments WHERE subject_kind = 1 AND subject = OLD.id;
    UPDATE policy_generation SET generation = generation + 1;
END;
CREATE TRIGGER api_key_deleted AFTER DELETE ON api_keys BEGIN
    DELETE FROM bindings WHERE subject_kind = 2 AND subject = OLD.client_id;
    DELETE FROM policy_assignments WHERE subject_kind = 2 AND subject = OLD.client_id;
END;
CREATE TRIGGER policy_deleted AFTER DELETE ON policies BEGIN
    DELETE FROM bindings WHERE subject_kind = 3 AND subject = OLD.name;
    UPDATE policy_generation SET generation = generation + 1;
END;
