-- Attempts in a row to work on a rollback without a step, counted before each: three that ended
-- whoever made them put it aside.
CREATE TABLE attempt (
    rollback TEXT    NOT NULL PRIMARY KEY,
    count    INTEGER NOT NULL,
    name     TEXT    NOT NULL               -- of the last one, so that none counts twice
) STRICT, WITHOUT ROWID;

ALTER TABLE rollback ADD COLUMN put_aside INTEGER NOT NULL DEFAULT 0;
CREATE INDEX rollback_put_aside ON rollback (number) WHERE put_aside = 1;
