-- Epochs of the master key: those under which keys may be wrapped, the highest for new ones. infra/rotation.py
CREATE TABLE daybook_keys.epochs (
    epoch    integer PRIMARY KEY CHECK (epoch > 0),
    proof    bytea,                                               -- opens under its master key only; NULL: the first
    begun_at timestamptz NOT NULL DEFAULT now(),
    CHECK (epoch = 1 OR proof IS NOT NULL)
);
INSERT INTO daybook_keys.epochs (epoch) VALUES (1);

-- As the wrapped key itself says (infra/master_key.py). No epoch ends that a key still needs, and none is wrapped
-- under one that has ended, also not by a process of an older version: its master key is destroyed.
ALTER TABLE daybook_keys.subjects ADD COLUMN epoch integer
    GENERATED ALWAYS AS (CASE length(wrapped) WHEN 60 THEN 1 ELSE get_byte(wrapped, 0) << 24 | get_byte(wrapped, 1) << 16
        | get_byte(wrapped, 2) << 8 | get_byte(wrapped, 3) END) STORED
    REFERENCES daybook_keys.epochs;
