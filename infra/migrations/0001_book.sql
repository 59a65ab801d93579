-- The book of original entry, and what its appends check.

CREATE SCHEMA daybook;

CREATE TABLE daybook.events (
    position           bigint PRIMARY KEY CHECK (position > 0),   -- dense, in commit order
    originator_id      uuid NOT NULL,
    originator_version bigint NOT NULL,
    event_id           uuid NOT NULL,
    topic              text NOT NULL,                             -- the event's stored name
    recorded_at        timestamptz NOT NULL,                      -- under the append lock: never decreases with position
    occurred_at        timestamptz NOT NULL,
    subject            uuid NOT NULL,                             -- whose key seals the personal part
    actor              text NOT NULL,
    on_behalf_of       text,
    correlation_id     uuid NOT NULL,
    causation_id       uuid,
    idempotency_key    uuid,
    state              bytea NOT NULL,                            -- the public part, JSON
    sealed             bytea,                                     -- the personal part and the reason, AES-256-GCM
    commitment         bytea,                                     -- HMAC-SHA256 of the personal part (see docs/auditor)
    UNIQUE (originator_id, originator_version),
    CHECK ((sealed IS NULL) = (commitment IS NULL))
);

-- An append-only store says so itself: even we cannot edit an entry by mistake.
CREATE FUNCTION daybook.refuse_change() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'the book is append-only'; END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON daybook.events
    FOR EACH STATEMENT EXECUTE FUNCTION daybook.refuse_change();

-- What a handled command left, for 30 days: the same key gives the same receipt.
CREATE TABLE daybook.receipts (
    actor           text NOT NULL,
    idempotency_key uuid NOT NULL,
    fingerprint     bytea NOT NULL,                               -- HMAC of the command: no personal data here
    aggregate_id    uuid NOT NULL,
    version         bigint NOT NULL,
    position        bigint NOT NULL,
    recorded_at     timestamptz NOT NULL,
    PRIMARY KEY (actor, idempotency_key)
);
CREATE INDEX receipts_by_age ON daybook.receipts (recorded_at);

-- What one aggregate at a time may hold, by blind index. Can be rebuilt from the events.
CREATE TABLE daybook.reservations (
    scope       text NOT NULL,
    fingerprint bytea NOT NULL,                                   -- HMAC of the normalised value
    slot        integer NOT NULL,                                 -- 0; above it, taken knowingly beside another
    holder      uuid NOT NULL,
    subject     uuid NOT NULL,
    PRIMARY KEY (scope, fingerprint, slot)
);
CREATE INDEX reservations_by_holder ON daybook.reservations (holder);

CREATE SEQUENCE daybook.numbers;                                  -- human-friendly numbers: ascending, gaps allowed

-- Keys, apart from what they open.
CREATE SCHEMA daybook_keys;

CREATE TABLE daybook_keys.subjects (
    subject    uuid PRIMARY KEY,
    wrapped    bytea,                                             -- under the master key; NULL: destroyed, for ever
    CHECK (wrapped IS NOT NULL OR destroyed_at IS NOT NULL),
    made_at    timestamptz NOT NULL,
    destroyed_at timestamptz
);

CREATE TABLE daybook_keys.purposes (
    purpose text NOT NULL,                                        -- 'blind index', 'fingerprint'
    epoch   integer NOT NULL,
    wrapped bytea NOT NULL,
    PRIMARY KEY (purpose, epoch)
);
