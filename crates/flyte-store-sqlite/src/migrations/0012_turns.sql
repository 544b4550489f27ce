-- Whose turn it is: the next place goes to who was served longest ago.
ALTER TABLE runs ADD COLUMN served INTEGER NOT NULL DEFAULT 0;  -- the number of its last turn
CREATE INDEX runs_unfinished ON runs (pk) WHERE ended_at IS NULL;
CREATE TABLE turns (
    creator TEXT PRIMARY KEY,                                   -- who started the runs
    served  INTEGER NOT NULL                                    -- the number of their last turn
) STRICT, WITHOUT ROWID;
CREATE INDEX turns_served ON turns (served);
INSERT INTO turns (creator, served) SELECT DISTINCT creator, 0 FROM runs WHERE ended_at IS NULL;
