-- A row whose record has lost its external id since is known by what it said: its receipts go after 30 days.
CREATE INDEX imported_by_row ON daybook.imported (fingerprint);
