-- A person's key has generations, which are wrapped together, newest last: infra/generations.py
ALTER TABLE daybook_keys.subjects ADD COLUMN rotated_at timestamptz;  -- when the newest was made; NULL: made_at

-- Every key, one after the other: what is older than the beginning of the last one has not had its turn yet.
CREATE TABLE daybook_keys.rotations (
    begun_at timestamptz PRIMARY KEY,
    ended_at timestamptz
);
