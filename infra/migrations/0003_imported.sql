-- What an import has entered last of each record, so that the same row again is known as done. No personal data here:
-- the fingerprint is a keyed one. Where a row is missing, the import finds out from the record's own entries.
CREATE TABLE daybook.imported (
    record      uuid NOT NULL,                                    -- the aggregate
    source      text NOT NULL,                                    -- the system that the row came from
    fingerprint uuid NOT NULL,                                    -- of all that the row asks for
    PRIMARY KEY (record, source)
);
