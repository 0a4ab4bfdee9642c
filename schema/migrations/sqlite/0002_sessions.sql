-- What the server remembers: conversations. The ingest has no business here, and the server none in other tables.
-- All times are milliseconds since 1970 in UTC, by the clock of the database.

-- `turns`: how many turns were ever begun, and with it the number of the last one.
CREATE TABLE sessions (
    session_id TEXT PRIMARY KEY,
    tenant     TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    used_at    BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    turns      BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX sessions_by_end ON sessions (expires_at);

-- One question with what became of it. The numbers of a session's turns are the order in which they were asked, and in
-- which they are answered: an open turn holds back all later ones until `leased_until`. `holder` is the server process
-- that prolongs the lease, up to `closes_at` at most. `citations` and `degraded` are JSON.
CREATE TABLE turns (
    session_id        TEXT NOT NULL REFERENCES sessions (session_id) ON DELETE CASCADE,
    number            BIGINT NOT NULL,
    state             TEXT NOT NULL CHECK (state IN ('open', 'answered', 'failed')),
    request_id        TEXT NOT NULL,
    question          TEXT NOT NULL,
    standalone        TEXT,
    answer            TEXT,
    citations         TEXT,
    generation        TEXT,
    model             TEXT,
    degraded          TEXT,
    prompt_tokens     BIGINT NOT NULL DEFAULT 0,
    completion_tokens BIGINT NOT NULL DEFAULT 0,
    began_at          BIGINT NOT NULL,
    ended_at          BIGINT,
    holder            TEXT NOT NULL,
    leased_until      BIGINT NOT NULL,
    closes_at         BIGINT NOT NULL,
    PRIMARY KEY (session_id, number)
);
CREATE INDEX turns_open ON turns (holder, leased_until) WHERE state = 'open';
