-- What a build can go on with after a crash, and what must never come back.

-- Which document is wholly in which generation's collection, and with which content.
CREATE TABLE generation_documents (
    generation   TEXT NOT NULL,
    document_id  TEXT NOT NULL,
    content_hash TEXT NOT NULL,
    chunks       BIGINT NOT NULL,
    PRIMARY KEY (generation, document_id)
);

-- Digest of all that the generation holds, the same for the same content however it was built; NULL when it is not known.
ALTER TABLE generations ADD COLUMN content TEXT;

-- When a successor without erased documents took its place: from then on nobody may publish it or go back to it.
ALTER TABLE generations ADD COLUMN condemned_at BIGINT;

-- Which process of which machine holds the lease, so that another one there sees when it has died.
ALTER TABLE leases ADD COLUMN process TEXT;

-- Documents that were erased by command: no build may bring them back until they are allowed again.
CREATE TABLE tombstones (
    alias       TEXT NOT NULL,
    document_id TEXT NOT NULL,
    erased_at   BIGINT NOT NULL,
    reason      TEXT NOT NULL,
    PRIMARY KEY (alias, document_id)
);
