-- Times are milliseconds since 1970. What is JSON is read back through the types that wrote it, and
-- kept as text: the very characters. Whatever is compared or ordered is so by its bytes.

CREATE TABLE rollback (
    number        bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,  -- the order of opening
    id            text    COLLATE "C" NOT NULL UNIQUE,
    service       text    COLLATE "C" NOT NULL,
    environment   text    COLLATE "C" NOT NULL,
    drill         boolean NOT NULL,
    from_revision text    COLLATE "C" NOT NULL,
    opened_at     bigint  NOT NULL,
    entries       bigint  NOT NULL,
    view          text    NOT NULL,         -- JSON
    state         text    COLLATE "C" NOT NULL,
    is_end        boolean NOT NULL,
    ended_at      bigint,
    was_ordered   boolean NOT NULL,
    holds_service boolean NOT NULL
);

-- One rollback in flight for each service and environment.
CREATE UNIQUE INDEX rollback_slot ON rollback (service, environment) WHERE holds_service;
CREATE INDEX rollback_newest ON rollback (opened_at, number);
CREATE INDEX rollback_of_service ON rollback (service, environment, opened_at, number);
CREATE INDEX rollback_ordered ON rollback (service, environment, ended_at, number)
    WHERE was_ordered;
CREATE INDEX rollback_unfinished ON rollback (number) WHERE NOT is_end OR holds_service;

-- Apart from `rollback`, whose rows every step writes anew.
CREATE TABLE opening (
    rollback bigint PRIMARY KEY REFERENCES rollback (number),
    opening  text   NOT NULL                -- JSON
);

CREATE TABLE entry (
    rollback bigint NOT NULL REFERENCES rollback (number),
    number   bigint NOT NULL,               -- from 1, without gaps
    entry    text   NOT NULL,               -- JSON
    PRIMARY KEY (rollback, number)
);

CREATE TABLE claim (
    rollback   text   COLLATE "C" PRIMARY KEY,
    owner      text   COLLATE "C" NOT NULL,
    fence      bigint NOT NULL,
    expires_at bigint NOT NULL
);

-- Numbers that only ever grow, whatever is deleted.
CREATE TABLE counter (
    name  text   COLLATE "C" PRIMARY KEY,
    value bigint NOT NULL
);
INSERT INTO counter (name, value) VALUES ('fence', 0), ('ping', 0);

CREATE TABLE deploy (
    number      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,  -- the order of reports
    id          text   COLLATE "C" NOT NULL UNIQUE,
    service     text   COLLATE "C" NOT NULL,
    environment text   COLLATE "C" NOT NULL,
    deployed_at bigint NOT NULL,
    card        text   NOT NULL             -- JSON
);
CREATE INDEX deploy_of_service ON deploy (service, environment, deployed_at, number);

CREATE TABLE bad (
    service     text COLLATE "C" NOT NULL,
    environment text COLLATE "C" NOT NULL,
    revision    text COLLATE "C" NOT NULL,
    why         text NOT NULL,
    PRIMARY KEY (service, environment, revision)
);

-- Freezes; that word itself is the database's own.
CREATE TABLE frozen (
    service     text COLLATE "C" NOT NULL,
    environment text COLLATE "C" NOT NULL,
    name        text COLLATE "C" NOT NULL,
    content     text NOT NULL,              -- JSON
    PRIMARY KEY (service, environment, name)
);

-- One row a message. Due while `version > delivered AND abandoned IS NULL`; delivered rows stay,
-- for they say which message to bring up to date and which line was told already.
CREATE TABLE outbox (
    number          bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,  -- of first queueing
    notifier        text    COLLATE "C" NOT NULL,
    key             text    COLLATE "C" NOT NULL,
    version         bigint  NOT NULL,
    delivered       bigint  NOT NULL DEFAULT 0,
    once            boolean NOT NULL,
    notice          text    NOT NULL,       -- JSON
    channel         text    COLLATE "C" NOT NULL,
    thread_key      text    COLLATE "C",
    message_channel text    COLLATE "C",
    message_id      text    COLLATE "C",
    in_doubt        boolean NOT NULL DEFAULT false,
    attempts        bigint  NOT NULL DEFAULT 0,
    not_before      bigint  NOT NULL DEFAULT 0,
    abandoned       text,                   -- why
    taken_by        text    COLLATE "C",
    taken_until     bigint,
    settled_at      bigint,
    UNIQUE (notifier, key)
);
CREATE INDEX outbox_pending ON outbox (number) WHERE version > delivered AND abandoned IS NULL;
CREATE INDEX outbox_taken ON outbox (notifier, channel) WHERE taken_by IS NOT NULL;
CREATE INDEX outbox_thread ON outbox (notifier, thread_key) WHERE thread_key IS NOT NULL;

-- Digests of signed requests that were taken, so that none is taken twice.
CREATE TABLE seen (
    digest     bytea  PRIMARY KEY,
    kept_until bigint NOT NULL
);
CREATE INDEX seen_until ON seen (kept_until);

-- The exact bytes that were hashed; the other columns only find them. A database has one chain,
-- which `head` names, so that a sequence number is unique in the chain when it is unique here.
CREATE TABLE audit (
    sequence    bigint PRIMARY KEY,
    id          text   COLLATE "C" NOT NULL UNIQUE,
    rollback    text   COLLATE "C" NOT NULL,
    service     text   COLLATE "C" NOT NULL,
    environment text   COLLATE "C" NOT NULL,
    record      text   NOT NULL
);
CREATE INDEX audit_of_service ON audit (service, environment, sequence);
CREATE INDEX audit_of_rollback ON audit (rollback, sequence);

-- The end of the chain. Every append locks this row, so that appends are in one order. The epoch
-- grows when somebody acknowledges that the database has gone back in time.
CREATE TABLE head (
    one      integer PRIMARY KEY CHECK (one = 1),
    chain    text    NOT NULL,
    sequence bigint  NOT NULL,
    hash     text    NOT NULL,
    epoch    bigint  NOT NULL DEFAULT 0
);

CREATE TABLE acknowledged (
    sink     text   COLLATE "C" PRIMARY KEY,
    sequence bigint NOT NULL
);
