-- Moves of an alias are not all any more: a canary that begins, or ends without going live, is remembered beside them. For a
-- canary `from_generation` is the live generation, for a withdrawal the canary, and `to_generation` the other one. `share`:
-- percent of the traffic. `reason`: why a canary was withdrawn.
ALTER TABLE publications DROP CONSTRAINT publications_kind_check;
ALTER TABLE publications ADD CONSTRAINT publications_kind_check
    CHECK (kind IN ('publish', 'rollback', 'canary', 'promote', 'withdraw'));
ALTER TABLE publications ADD COLUMN share BIGINT;
ALTER TABLE publications ADD COLUMN reason TEXT;
