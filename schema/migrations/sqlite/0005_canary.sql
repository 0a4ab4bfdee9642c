-- Moves of an alias are not all any more: a canary that begins, or ends without going live, is remembered beside them. For a
-- canary `from_generation` is the live generation, for a withdrawal the canary, and `to_generation` the other one. `share`:
-- percent of the traffic. `reason`: why a canary was withdrawn.
-- SQLite changes no constraint of a table that is there: it is written anew.
CREATE TABLE publications_with_canaries (
    publication_id  TEXT PRIMARY KEY,
    alias           TEXT NOT NULL,
    kind            TEXT NOT NULL CHECK (kind IN ('publish', 'rollback', 'canary', 'promote', 'withdraw')),
    from_generation TEXT,
    to_generation   TEXT NOT NULL,
    moved_at        BIGINT NOT NULL,
    program         TEXT NOT NULL,
    forced          TEXT,
    verdicts        TEXT NOT NULL,
    share           BIGINT,
    reason          TEXT
);
INSERT INTO publications_with_canaries
    (publication_id, alias, kind, from_generation, to_generation, moved_at, program, forced, verdicts)
SELECT publication_id, alias, kind, from_generation, to_generation, moved_at, program, forced, verdicts
FROM publications;
DROP TABLE publications;
ALTER TABLE publications_with_canaries RENAME TO publications;
CREATE INDEX publications_by_alias ON publications (alias, moved_at);
