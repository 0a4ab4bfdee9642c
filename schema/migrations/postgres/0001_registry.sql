-- What the ingest remembers: its runs, the documents and generations that they made, who published what, and the
-- vectors that need not be computed again. Which generation is live is the vector store's to say, never a table's.
-- All times are milliseconds since 1970 in UTC.

-- One row for every ingest that began, whatever became of it.
CREATE TABLE runs (
    run_id      TEXT PRIMARY KEY,
    alias       TEXT NOT NULL,
    generation  TEXT,
    outcome     TEXT NOT NULL CHECK (outcome IN ('running', 'published', 'built', 'refused', 'failed')),
    started_at  BIGINT NOT NULL,
    finished_at BIGINT,
    documents   BIGINT NOT NULL DEFAULT 0,
    skipped     BIGINT NOT NULL DEFAULT 0,
    chunks      BIGINT NOT NULL DEFAULT 0,
    embedded    BIGINT NOT NULL DEFAULT 0,
    reused      BIGINT NOT NULL DEFAULT 0,
    report      TEXT
);
CREATE INDEX runs_by_alias ON runs (alias, started_at);

-- What became of each document in the run that saw it last.
CREATE TABLE documents (
    alias        TEXT NOT NULL,
    document_id  TEXT COLLATE "C" NOT NULL,
    uri          TEXT NOT NULL,
    content_hash TEXT,
    state        TEXT NOT NULL CHECK (state IN ('ingested', 'skipped')),
    reason       TEXT,
    chunks       BIGINT NOT NULL,
    run_id       TEXT NOT NULL REFERENCES runs (run_id),
    PRIMARY KEY (alias, document_id)
);
CREATE INDEX documents_by_run ON documents (run_id);

-- `published_at`: when it last went live, NULL when it never was. `superseded_at`: when it last ceased to be live.
CREATE TABLE generations (
    generation    TEXT PRIMARY KEY,
    alias         TEXT NOT NULL,
    state         TEXT NOT NULL CHECK (state IN ('staging', 'complete', 'failed', 'deleted')),
    fingerprint   TEXT NOT NULL,
    embedding     TEXT NOT NULL,
    documents     BIGINT,
    chunks        BIGINT,
    begun_at      BIGINT NOT NULL,
    built_at      BIGINT,
    published_at  BIGINT,
    superseded_at BIGINT
);
CREATE INDEX generations_by_alias ON generations (alias);

-- Every move of an alias. `forced` is the reason that was given for moving it past a refusing gate.
CREATE TABLE publications (
    publication_id  TEXT PRIMARY KEY,
    alias           TEXT NOT NULL,
    kind            TEXT NOT NULL CHECK (kind IN ('publish', 'rollback')),
    from_generation TEXT,
    to_generation   TEXT NOT NULL,
    moved_at        BIGINT NOT NULL,
    program         TEXT NOT NULL,
    forced          TEXT,
    verdicts        TEXT NOT NULL
);
CREATE INDEX publications_by_alias ON publications (alias, moved_at);

-- Vectors by embedding model and content: little-endian 32-bit floats.
CREATE TABLE embeddings (
    embedding    TEXT NOT NULL,
    content_hash TEXT NOT NULL,
    vector       BYTEA NOT NULL,
    PRIMARY KEY (embedding, content_hash)
);

-- Who may do alone what only one may do at a time, until `expires_at`.
CREATE TABLE leases (
    name       TEXT PRIMARY KEY,
    token      TEXT NOT NULL,
    holder     TEXT NOT NULL,
    expires_at BIGINT NOT NULL
);
