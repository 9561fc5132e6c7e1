-- Times are milliseconds since 1970. What is JSON is read back through the types that wrote it.

CREATE TABLE rollback (
    number        INTEGER PRIMARY KEY,      -- the order of opening
    id            TEXT    NOT NULL UNIQUE,
    service       TEXT    NOT NULL,
    environment   TEXT    NOT NULL,
    drill         INTEGER NOT NULL,
    from_revision TEXT    NOT NULL,
    opened_at     INTEGER NOT NULL,
    entries       INTEGER NOT NULL,
    view          TEXT    NOT NULL,         -- JSON
    state         TEXT    NOT NULL,
    is_end        INTEGER NOT NULL,
    ended_at      INTEGER,
    was_ordered   INTEGER NOT NULL,
    holds_service INTEGER NOT NULL
) STRICT;

-- One rollback in flight for each service and environment.
CREATE UNIQUE INDEX rollback_slot ON rollback (service, environment) WHERE holds_service = 1;
CREATE INDEX rollback_newest ON rollback (opened_at, number);
CREATE INDEX rollback_of_service ON rollback (service, environment, opened_at, number);
CREATE INDEX rollback_ordered ON rollback (service, environment, ended_at, number)
    WHERE was_ordered = 1;
CREATE INDEX rollback_unfinished ON rollback (number) WHERE is_end = 0 OR holds_service = 1;

-- Apart from `rollback`, whose rows every step writes anew.
CREATE TABLE opening (
    rollback INTEGER PRIMARY KEY REFERENCES rollback (number),
    opening  TEXT    NOT NULL               -- JSON
) STRICT;

CREATE TABLE entry (
    rollback INTEGER NOT NULL REFERENCES rollback (number),
    number   INTEGER NOT NULL,              -- from 1, without gaps
    entry    TEXT    NOT NULL,              -- JSON
    PRIMARY KEY (rollback, number)
) STRICT;

CREATE TABLE claim (
    rollback   TEXT    NOT NULL PRIMARY KEY,
    owner      TEXT    NOT NULL,
    fence      INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Numbers that only ever grow, whatever is deleted.
CREATE TABLE counter (
    name  TEXT    NOT NULL PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO counter (name, value) VALUES ('fence', 0), ('ping', 0);

CREATE TABLE deploy (
    number      INTEGER PRIMARY KEY,        -- the order of reports
    id          TEXT    NOT NULL UNIQUE,
    service     TEXT    NOT NULL,
    environment TEXT    NOT NULL,
    deployed_at INTEGER NOT NULL,
    card        TEXT    NOT NULL            -- JSON
) STRICT;
CREATE INDEX deploy_of_service ON deploy (service, environment, deployed_at, number);

CREATE TABLE bad (
    service     TEXT NOT NULL,
    environment TEXT NOT NULL,
    revision    TEXT NOT NULL,
    why         TEXT NOT NULL,
    PRIMARY KEY (service, environment, revision)
) STRICT, WITHOUT ROWID;

CREATE TABLE freeze (
    service     TEXT NOT NULL,
    environment TEXT NOT NULL,
    name        TEXT NOT NULL,
    freeze      TEXT NOT NULL,              -- JSON
    PRIMARY KEY (service, environment, name)
) STRICT, WITHOUT ROWID;

-- One row a message. Due while `version > delivered AND abandoned IS NULL`; delivered rows stay,
-- for they say which message to bring up to date and which line was told already.
CREATE TABLE outbox (
    number          INTEGER PRIMARY KEY,    -- the order of first queueing
    notifier        TEXT    NOT NULL,
    key             TEXT    NOT NULL,
    version         INTEGER NOT NULL,
    delivered       INTEGER NOT NULL DEFAULT 0,
    once            INTEGER NOT NULL,
    notice          TEXT    NOT NULL,       -- JSON
    channel         TEXT    NOT NULL,
    thread_key      TEXT,
    message_channel TEXT,
    message_id      TEXT,
    in_doubt        INTEGER NOT NULL DEFAULT 0,
    attempts        INTEGER NOT NULL DEFAULT 0,
    not_before      INTEGER NOT NULL DEFAULT 0,
    abandoned       TEXT,                   -- why
    taken_by        TEXT,                   -- for several senders; one process needs none
    taken_until     INTEGER,
    UNIQUE (notifier, key)
) STRICT;
CREATE INDEX outbox_pending ON outbox (number) WHERE version > delivered AND abandoned IS NULL;

-- The exact bytes that were hashed; the other columns only find them. A file has one chain, which
-- `head` names, so that a sequence number is unique in the chain when it is unique in the file.
CREATE TABLE audit (
    sequence    INTEGER PRIMARY KEY,
    id          TEXT    NOT NULL UNIQUE,
    rollback    TEXT    NOT NULL,
    service     TEXT    NOT NULL,
    environment TEXT    NOT NULL,
    record      TEXT    NOT NULL
) STRICT;
CREATE INDEX audit_of_service ON audit (service, environment, sequence);
CREATE INDEX audit_of_rollback ON audit (rollback, sequence);

CREATE TABLE head (
    one      INTEGER PRIMARY KEY CHECK (one = 1),
    chain    TEXT    NOT NULL,
    sequence INTEGER NOT NULL,
    hash     TEXT    NOT NULL
) STRICT;

CREATE TABLE acknowledged (
    sink     TEXT    NOT NULL PRIMARY KEY,
    sequence INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
