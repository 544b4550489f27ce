-- Time limits of tasks, in milliseconds. Actions of before have none: their attempts are still held to the task's timeout.
ALTER TABLE actions ADD COLUMN max_queued INTEGER;   -- the longest wait for an attempt
ALTER TABLE actions ADD COLUMN deadline_at INTEGER;  -- when it must have ended
CREATE INDEX actions_deadline ON actions (deadline_at) WHERE deadline_at IS NOT NULL AND ended_at IS NULL;
CREATE INDEX actions_max_queued ON actions (not_before) WHERE phase = 1 AND max_queued IS NOT NULL;
