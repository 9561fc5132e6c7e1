-- Since when a message that appears once is known to be settled; it is forgotten long after.
ALTER TABLE outbox ADD COLUMN settled_at INTEGER;
CREATE INDEX outbox_taken ON outbox (notifier, channel) WHERE taken_by IS NOT NULL;
CREATE INDEX outbox_thread ON outbox (notifier, thread_key) WHERE thread_key IS NOT NULL;

-- Digests of signed requests that were taken, so that none is taken twice.
CREATE TABLE seen (
    digest     BLOB    NOT NULL PRIMARY KEY,
    kept_until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX seen_until ON seen (kept_until);
