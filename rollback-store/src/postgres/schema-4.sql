-- Which releases may write: those that know schema `writers_from` or a newer one. Whoever writes reads
-- this first, in the same transaction.
ALTER TABLE rollback_store ADD COLUMN writers_from bigint NOT NULL DEFAULT 4;

-- Releases before this schema do not look, so that the database refuses what they write: their sessions
-- do not say which schema they know. Whoever repairs something by hand says it:
-- SET rollback.schema = 4.
CREATE FUNCTION rollback_refuse_older_releases() RETURNS trigger LANGUAGE plpgsql AS $refuse$
BEGIN
    IF coalesce(nullif(current_setting('rollback.schema', true), ''), '0')::bigint < 4 THEN
        RAISE EXCEPTION USING ERRCODE = 'RB004', MESSAGE =
            'a newer release has brought this database to schema 4, which this process does not know; '
            'nothing was changed; stop this process, or start the newer release in its place';
    END IF;
    RETURN NULL;
END $refuse$;
CREATE TRIGGER newer BEFORE INSERT OR UPDATE OR DELETE ON rollback
    FOR EACH STATEMENT EXECUTE FUNCTION rollback_refuse_older_releases();
CREATE TRIGGER newer BEFORE INSERT OR UPDATE OR DELETE ON claim
    FOR EACH STATEMENT EXECUTE FUNCTION rollback_refuse_older_releases();
CREATE TRIGGER newer BEFORE INSERT OR UPDATE OR DELETE ON attempt
    FOR EACH STATEMENT EXECUTE FUNCTION rollback_refuse_older_releases();
CREATE TRIGGER newer BEFORE INSERT OR UPDATE OR DELETE ON counter
    FOR EACH STATEMENT EXECUTE FUNCTION rollback_refuse_older_releases();
CREATE TRIGGER newer BEFORE INSERT OR UPDATE OR DELETE ON deploy
    FOR EACH STATEMENT EXECUTE FUNCTION rollback_refuse_older_releases();
CREATE TRIGGER newer BEFORE INSERT OR UPDATE OR DELETE ON bad
    FOR EACH STATEMENT EXECUTE FUNCTION rollback_refuse_older_releases();
CREATE TRIGGER newer BEFORE INSERT OR UPDATE OR DELETE ON frozen
    FOR EACH STATEMENT EXECUTE FUNCTION rollback_refuse_older_releases();
CREATE TRIGGER newer BEFORE INSERT OR UPDATE OR DELETE ON outbox
    FOR EACH STATEMENT EXECUTE FUNCTION rollback_refuse_older_releases();
CREATE TRIGGER newer BEFORE INSERT OR UPDATE OR DELETE ON seen
    FOR EACH STATEMENT EXECUTE FUNCTION rollback_refuse_older_releases();
CREATE TRIGGER newer BEFORE INSERT OR UPDATE OR DELETE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION rollback_refuse_older_releases();
CREATE TRIGGER newer BEFORE INSERT OR UPDATE OR DELETE ON acknowledged
    FOR EACH STATEMENT EXECUTE FUNCTION rollback_refuse_older_releases();

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
    WHERE is_end AND NOT holds_service AND NOT was_ordered AND NOT put_aside AND prominence < 2;
CREATE INDEX claim_until ON claim (expires_at);
CREATE INDEX outbox_unsettled ON outbox (number)
    WHERE settled_at IS NULL AND once AND taken_by IS NULL
        AND (version <= delivered OR abandoned IS NOT NULL);
CREATE INDEX outbox_settled ON outbox (settled_at) WHERE settled_at IS NOT NULL;
ALTER TABLE frozen ADD COLUMN ends_at bigint;
UPDATE frozen
    SET ends_at = (extract(epoch FROM (content::json ->> 'until')::timestamptz) * 1000)::bigint;
CREATE INDEX frozen_ended ON frozen (ends_at) WHERE ends_at IS NOT NULL;
