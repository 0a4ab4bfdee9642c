-- Filters by which documents were erased by command, for builds that were under way then: what these hold by the end is
-- erased before they are published. `filter` is the JSON of the command line.
CREATE TABLE erased_filters (
    alias     TEXT NOT NULL,
    filter    TEXT NOT NULL,
    erased_at BIGINT NOT NULL,
    reason    TEXT NOT NULL
);
CREATE INDEX erased_filters_by_time ON erased_filters (alias, erased_at);
