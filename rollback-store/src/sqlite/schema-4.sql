-- What the message of a deploy shows is looked up by what stands. The numbers are those of the core's
-- `Prominence::rank`; a test holds the two together.
ALTER TABLE rollback ADD COLUMN deploy TEXT;
ALTER TABLE rollback ADD COLUMN prominence INTEGER NOT NULL DEFAULT 0;
UPDATE rollback SET deploy = json_extract(view, '$.deploy'), prominence = CASE
    WHEN state IN ('approving', 'checking', 'recording', 'triggering', 'running', 'verifying') THEN 5
    WHEN state = 'outcome_unknown' AND holds_service = 1 THEN 5
    WHEN put_aside = 1 THEN 4
    WHEN ended_at IS NOT NULL AND json_extract(view, '$.reason') IS NOT NULL THEN 3
    WHEN ended_at IS NULL AND json_extract(view, '$.proposed_by') IS NOT NULL THEN 2
    WHEN state = 'refused' THEN 1
    ELSE 0 END
    WHERE json_valid(view);
CREATE INDEX rollback_shown ON rollback (deploy, prominence, opened_at, number)
    WHERE prominence > 0;
