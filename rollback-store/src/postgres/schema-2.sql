-- Attempts in a row to work on a rollback without a step, counted before each: three that ended
-- whoever made them put it aside.
CREATE TABLE attempt (
    rollback text   COLLATE "C" PRIMARY KEY,
    count    bigint NOT NULL,
    name     text   COLLATE "C" NOT NULL    -- of the last one, so that none counts twice
);

ALTER TABLE rollback ADD COLUMN put_aside boolean NOT NULL DEFAULT false;
CREATE INDEX rollback_put_aside ON rollback (number) WHERE put_aside;
