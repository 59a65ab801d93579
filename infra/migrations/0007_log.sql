-- The log over the book: an RFC 6962 Merkle tree whose leaves are the entries by position, and its signed checkpoints.
-- Only ever appended to, as the book is. docs/auditor/proof.md specifies what is hashed.
CREATE SCHEMA daybook_log;

CREATE TABLE daybook_log.leaves (                                 -- one row for what each checkpoint added, or a part
    first  bigint PRIMARY KEY CHECK (first > 0),                  -- the position of the first
    hashes bytea NOT NULL CHECK (length(hashes) > 0 AND length(hashes) % 32 = 0)
);
ALTER TABLE daybook_log.leaves ALTER COLUMN hashes SET STORAGE EXTERNAL;

CREATE TABLE daybook_log.subtrees (                               -- the roots of complete subtrees
    level smallint CHECK (level > 0 AND level % 8 = 0),           -- of 256, 65,536, ... leaves
    index bigint CHECK (index >= 0),                              -- from the left
    hash  bytea NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (level, index)
);

CREATE TABLE daybook_log.checkpoints (
    size    bigint PRIMARY KEY CHECK (size > 0),                  -- the position of the last entry in it
    note    text NOT NULL,                                        -- a C2SP tlog-checkpoint
    made_at timestamptz NOT NULL DEFAULT now()
);

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON daybook_log.leaves
    FOR EACH STATEMENT EXECUTE FUNCTION daybook.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON daybook_log.subtrees
    FOR EACH STATEMENT EXECUTE FUNCTION daybook.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON daybook_log.checkpoints
    FOR EACH STATEMENT EXECUTE FUNCTION daybook.refuse_change();
