-- The entries that a row of an import has caused: so a record is known by the row when it has lost its external id.
CREATE INDEX requests_of_imports ON daybook.events (correlation_id) WHERE actor LIKE 'import:%';
