-- What happened: only ever added to, and removed by age alone. The triggers are against mistakes of this program and of
-- people with a shell, not against users who may write to the file and change the schema.
CREATE TABLE audit_records (
    id        INTEGER PRIMARY KEY AUTOINCREMENT, -- never used again, so that a gap shows
    at        INTEGER NOT NULL,
    event     TEXT NOT NULL,
    subject   TEXT,
    client_id TEXT,
    address   TEXT,
    object    TEXT,
    details   TEXT NOT NULL              -- JSON object
) STRICT;
CREATE INDEX audit_records_time ON audit_records (at);
CREATE INDEX audit_records_event ON audit_records (event, id);
CREATE INDEX audit_records_subject ON audit_records (subject, id);

-- One row: what is older than this may be removed. The clean-up moves it on before it removes anything.
CREATE TABLE audit_retention (
    only   INTEGER PRIMARY KEY CHECK (only = 1),
    before INTEGER NOT NULL
) STRICT;
INSERT INTO audit_retention VALUES (1, 0);

CREATE TRIGGER audit_records_are_not_changed BEFORE UPDATE ON audit_records
BEGIN SELECT RAISE(ABORT, 'audit records are only ever added'); END;

CREATE TRIGGER audit_records_are_kept BEFORE DELETE ON audit_records
WHEN old.at >= (SELECT before FROM audit_retention)
BEGIN SELECT RAISE(ABORT, 'audit records are kept'); END;

-- INSERT OR REPLACE removes without asking the trigger above.
CREATE TRIGGER audit_records_are_not_replaced BEFORE INSERT ON audit_records
WHEN EXISTS (SELECT 1 FROM audit_records WHERE id = new.id)
BEGIN SELECT RAISE(ABORT, 'audit records are only ever added'); END;
