-- Erasures: what is approved and waits to be carried out is found at once, in a book of any length.
CREATE INDEX erasures ON daybook.events (topic, originator_id)
    WHERE topic IN ('CustomerErasureApproved', 'CustomerPersonalDataErased');

-- Every process looks for keys that were destroyed since it last looked, and forgets them.
CREATE INDEX subjects_destroyed ON daybook_keys.subjects (destroyed_at) WHERE wrapped IS NULL;

-- The planner's statistics are a copy of some values: none of keys. To give a column its type anew drops those there are.
ALTER TABLE daybook_keys.subjects ALTER COLUMN wrapped TYPE bytea, ALTER COLUMN wrapped SET STATISTICS 0;

-- A destroyed key stays destroyed, whoever tries.
CREATE FUNCTION daybook_keys.refuse_return() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'a destroyed key stays destroyed'; END $$;
REVOKE ALL ON FUNCTION daybook_keys.refuse_return() FROM PUBLIC;
CREATE TRIGGER stays_destroyed BEFORE UPDATE OR DELETE ON daybook_keys.subjects
    FOR EACH ROW WHEN (OLD.wrapped IS NULL AND OLD.destroyed_at IS NOT NULL)
    EXECUTE FUNCTION daybook_keys.refuse_return();

-- When what had been erased by then was rewritten out of the files, so that not even their leftovers hold it.
CREATE TABLE daybook_keys.rewritings (
    begun_at timestamptz PRIMARY KEY,                             -- every key destroyed before is gone
    ended_at timestamptz NOT NULL
);
