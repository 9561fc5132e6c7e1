-- Each question of a list has an index that it begins with, whichever names are asked for.
CREATE INDEX rollback_in_state ON rollback (state, opened_at, number);
CREATE INDEX rollback_of_name ON rollback (service, opened_at, number);
CREATE INDEX rollback_of_environment ON rollback (environment, opened_at, number);
CREATE INDEX rollback_of_service_in_state
    ON rollback (service, environment, state, opened_at, number);
CREATE INDEX audit_of_name ON audit (service, sequence);
CREATE INDEX audit_of_environment ON audit (environment, sequence);

-- An open proposal outranks an end: the schema before numbered these two the other way round.
UPDATE rollback SET prominence = 5 - prominence WHERE prominence IN (2, 3);

-- What is forgotten is found by its time, a step at a time.
CREATE INDEX rollback_unconfirmed ON rollback (ended_at, number)
    WHERE is_end = 1 AND holds_service = 0 AND was_ordered = 0 AND put_aside = 0 AND prominence < 2;
CREATE INDEX claim_until ON claim (expires_at);
CREATE INDEX outbox_unsettled ON outbox (number)
    WHERE settled_at IS NULL AND once AND taken_by IS NULL
        AND (version <= delivered OR abandoned IS NOT NULL);
CREATE INDEX outbox_settled ON outbox (settled_at) WHERE settled_at IS NOT NULL;
ALTER TABLE freeze ADD COLUMN ends_at INTEGER;
UPDATE freeze SET ends_at =
    CAST(round((julianday(json_extract(freeze, '$.until')) - 2440587.5) * 86400000.0) AS INTEGER)
    WHERE json_valid(freeze);
CREATE INDEX freeze_ended ON freeze (ends_at) WHERE ends_at IS NOT NULL;
