-- Generations that several workers write at once. `job` names the build, empty for the one without a name; `created`: whether
-- the collection is there and ready to be written; `outcome`: NULL until the build has ended, whatever became of it.
CREATE TABLE divisions (
    generation TEXT PRIMARY KEY,
    alias      TEXT NOT NULL,
    job        TEXT NOT NULL,
    partitions BIGINT NOT NULL,
    begun_at   BIGINT NOT NULL,
    joined_at  BIGINT NOT NULL,
    created    BIGINT NOT NULL DEFAULT 0,
    outcome    TEXT CHECK (outcome IN ('published', 'built', 'refused', 'failed'))
);
-- Of the workers that begin at once one names the generation, and all others join it.
CREATE UNIQUE INDEX divisions_open ON divisions (alias, job) WHERE outcome IS NULL;

-- The partitions that were begun, from 0: by which run last, and with what report once they are done.
CREATE TABLE partitions (
    generation TEXT NOT NULL,
    number     BIGINT NOT NULL,
    run_id     TEXT NOT NULL,
    done_at    BIGINT,
    report     TEXT,
    PRIMARY KEY (generation, number)
);
