-- What the message of a deploy shows is looked up by what stands. The numbers are those of the core's
-- `Prominence::rank`; a test holds the two together.
ALTER TABLE rollback ADD COLUMN deploy text COLLATE "C";
ALTER TABLE rollback ADD COLUMN prominence bigint NOT NULL DEFAULT 0;
UPDATE rollback SET deploy = view::json ->> 'deploy', prominence = CASE
    WHEN state IN ('approving', 'checking', 'recording', 'triggering', 'running', 'verifying') THEN 5
    WHEN state = 'outcome_unknown' AND holds_service THEN 5
    WHEN put_aside THEN 4
    WHEN ended_at IS NOT NULL AND view::json ->> 'reason' IS NOT NULL THEN 3
    WHEN ended_at IS NULL AND view::json ->> 'proposed_by' IS NOT NULL THEN 2
    WHEN state = 'refused' THEN 1
    ELSE 0 END;
CREATE INDEX rollback_shown ON rollback (deploy, prominence, opened_at, number)
    WHERE prominence > 0;
