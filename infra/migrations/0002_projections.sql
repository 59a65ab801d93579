-- The machinery of the projections. The read models' own tables live in daybook_read; projections/ makes them.

CREATE SCHEMA daybook_read;
CREATE SCHEMA daybook_projections;

CREATE TABLE daybook_projections.models (
    name     text PRIMARY KEY,
    version  integer NOT NULL,                                    -- of the code that its tables were made by
    tables   text[] NOT NULL,                                     -- its tables in daybook_read
    position bigint NOT NULL,                                     -- its rows stand at this entry of the book
    moved_at timestamptz NOT NULL,
    edition  bigint NOT NULL DEFAULT 1                            -- grows when anybody but the runner changes its rows
);

-- Lanes (one aggregate in one model) that stopped at an event which could not be posted. No personal data here.
CREATE TABLE daybook_projections.parked (
    model        text NOT NULL REFERENCES daybook_projections.models ON DELETE CASCADE,
    aggregate_id uuid NOT NULL,
    position     bigint NOT NULL,                                 -- the first entry that is not in the rows
    event        text NOT NULL,                                   -- its stored name
    error        text NOT NULL,
    parked_at    timestamptz NOT NULL,
    attempts     integer NOT NULL,
    PRIMARY KEY (model, aggregate_id)
);

-- Who leads: one row. The token grows at each take-over and fences out whoever led before.
CREATE TABLE daybook_projections.lease (
    single     boolean PRIMARY KEY DEFAULT true CHECK (single),
    holder     text,                                              -- NULL: given back
    token      bigint NOT NULL,
    expires_at timestamptz NOT NULL
);
INSERT INTO daybook_projections.lease (holder, token, expires_at) VALUES (NULL, 0, to_timestamp(0));
