-- How people sign in. No personal data, and no secret that could be used: passwords as argon2id, all else as SHA-256.
CREATE SCHEMA daybook_access;

CREATE TABLE daybook_access.passwords (
    staff_member uuid PRIMARY KEY,
    hash         text NOT NULL,                                   -- argon2id, with its parameters and its salt
    changed_at   timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE daybook_access.sessions (
    hash         bytea PRIMARY KEY,                               -- of what the cookie holds
    staff_member uuid NOT NULL,
    begun_at     timestamptz NOT NULL DEFAULT now(),
    used_at      timestamptz NOT NULL DEFAULT now()               -- to the minute
);
CREATE INDEX ON daybook_access.sessions (staff_member);

CREATE TABLE daybook_access.resets (                              -- one for each person: a new one replaces the old one
    staff_member uuid PRIMARY KEY,
    hash         bytea NOT NULL UNIQUE,
    expires_at   timestamptz NOT NULL
);

CREATE TABLE daybook_access.attempts (                            -- to sign in, by account and by address
    key          bytea PRIMARY KEY,
    failures     integer NOT NULL,
    last_at      timestamptz NOT NULL DEFAULT now(),
    next_at      timestamptz NOT NULL DEFAULT now()               -- none is admitted before
);
CREATE INDEX ON daybook_access.attempts (last_at);

CREATE TABLE daybook_access.token_uses (
    token_id     text PRIMARY KEY,
    last_used_at timestamptz NOT NULL                             -- to the minute
);

CREATE TABLE daybook_access.journal (                             -- who did what about signing in
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at           timestamptz NOT NULL DEFAULT now(),
    actor        text NOT NULL,
    staff_member uuid NOT NULL,                                   -- whose account it is
    what         text NOT NULL CHECK (
        what IN ('signed in', 'signed out everywhere', 'password changed', 'reset issued', 'password reset', 'deactivated')
    )
);
CREATE INDEX ON daybook_access.journal (staff_member, at);
CREATE TRIGGER only_appended BEFORE UPDATE OR DELETE OR TRUNCATE ON daybook_access.journal
    FOR EACH STATEMENT EXECUTE FUNCTION daybook.refuse_change();
