-- What the gates said of a generation each time that they were asked, whether or not it was published then. `live` is what
-- it was compared with, NULL when nothing was live. `forced` is the reason that was given for overruling them.
CREATE TABLE examinations (
    examination_id TEXT PRIMARY KEY,
    alias          TEXT NOT NULL,
    generation     TEXT NOT NULL,
    live           TEXT,
    examined_at    BIGINT NOT NULL,
    program        TEXT NOT NULL,
    forced         TEXT,
    verdicts       TEXT NOT NULL
);
CREATE INDEX examinations_by_generation ON examinations (alias, generation, examined_at);

-- What was measured of a generation when the gates last looked at it, as JSON: for comparisons with it when it is live and
-- cannot be looked at. No text of documents or questions.
CREATE TABLE measurements (
    generation  TEXT PRIMARY KEY,
    measured_at BIGINT NOT NULL,
    measured    TEXT NOT NULL
);
