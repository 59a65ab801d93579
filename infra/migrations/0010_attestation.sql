-- What was found where records were folded again and compared with their rows. No values of records here.
CREATE TABLE daybook_projections.mismatches (
    model     text NOT NULL,                                      -- no reference: backups leave the models out
    record    text NOT NULL,                                      -- the public id that its rows carry
    position  bigint NOT NULL,                                    -- where the model stood when it was looked at last
    what      text NOT NULL,                                      -- which tables and columns
    found_at  timestamptz NOT NULL DEFAULT now(),
    looked_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (model, record)
);

-- How far the looking is: one row.
CREATE TABLE daybook_projections.attestation (
    single    boolean PRIMARY KEY DEFAULT true CHECK (single),
    records   bigint NOT NULL DEFAULT 0,                          -- looked at, again and again
    looked_at timestamptz,                                        -- NULL: never yet
    passed_at timestamptz                                         -- when all of them were gone through last
);
INSERT INTO daybook_projections.attestation DEFAULT VALUES;
