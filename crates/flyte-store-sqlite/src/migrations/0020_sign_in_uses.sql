-- The last use of browser sessions and token families: when, from where, and by which program.
ALTER TABLE sessions ADD COLUMN used_at INTEGER;
ALTER TABLE sessions ADD COLUMN used_address TEXT;
ALTER TABLE sessions ADD COLUMN used_agent TEXT;
ALTER TABLE families ADD COLUMN used_at INTEGER;
ALTER TABLE families ADD COLUMN used_address TEXT;
ALTER TABLE families ADD COLUMN used_agent TEXT;

-- Lists of what a user is signed in with, the newest first.
DROP INDEX sessions_user;
CREATE INDEX sessions_user ON sessions (user_id, authenticated_at, id);
DROP INDEX families_user;
CREATE INDEX families_user ON families (user_id, created_at, id);
