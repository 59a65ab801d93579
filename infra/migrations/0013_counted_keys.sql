-- How many generations of a key are wrapped there (infra/generations.py); NULL: destroyed. Whoever appends, or destroys
-- keys, needs to know this of them, and may not read them. It writes the table of keys anew.
ALTER TABLE daybook_keys.subjects ADD COLUMN generations integer
    GENERATED ALWAYS AS (1 + (length(wrapped) - 60) / 40) STORED;
