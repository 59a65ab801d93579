-- A session that began before its holder was deactivated is good for nothing, however short that was.
ALTER TABLE daybook_access.sessions ADD COLUMN deactivation bigint NOT NULL DEFAULT 0;  -- the last that was known then
