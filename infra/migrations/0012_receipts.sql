-- The receipt of an erasure has a new shape, and with it a new name: what is approved and waits is still found at once.
DROP INDEX daybook.erasures;
CREATE INDEX erasures ON daybook.events (topic, originator_id)
    WHERE topic IN ('CustomerErasureApproved', 'CustomerPersonalDataErased', 'CustomerPersonalDataErased.2');
