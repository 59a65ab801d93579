"""Whether the tables that the proof rests on are those that the migrations make.

What a role gets to see is in no entry: with a policy, a rule or a child table one reader sees another book than the
next. So what the catalogue says of them is compared with MADE. Who forges the catalogue itself is not found so.
"""

from typing import Any

from psycopg import Connection

from infra.log.verifying import Fault, Finding

# What `facts` finds in a database that was migrated; a test compares the two. Its lines are long, as PostgreSQL's are.
MADE = """\
daybook.events: CHECK (("position" > 0))
daybook.events: CHECK (((sealed IS NULL) = (commitment IS NULL)))
daybook.events: CREATE TRIGGER append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON daybook.events FOR EACH STATEMENT EXECUTE FUNCTION daybook.refuse_change()
daybook.events: PRIMARY KEY ("position")
daybook.events: UNIQUE (originator_id, originator_version)
daybook.events: column actor text NOT NULL
daybook.events: column causation_id uuid
daybook.events: column commitment bytea
daybook.events: column correlation_id uuid NOT NULL
daybook.events: column event_id uuid NOT NULL
daybook.events: column idempotency_key uuid
daybook.events: column occurred_at timestamp with time zone NOT NULL
daybook.events: column on_behalf_of text
daybook.events: column originator_id uuid NOT NULL
daybook.events: column originator_version bigint NOT NULL
daybook.events: column position bigint NOT NULL
daybook.events: column recorded_at timestamp with time zone NOT NULL
daybook.events: column sealed bytea
daybook.events: column state bytea NOT NULL
daybook.events: column subject uuid NOT NULL
daybook.events: column topic text NOT NULL
daybook.events: ordinary table
daybook.refuse_change: BEGIN RAISE EXCEPTION 'the book is append-only'; END
daybook_log.checkpoints: CHECK ((size > 0))
daybook_log.checkpoints: CREATE TRIGGER append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON daybook_log.checkpoints FOR EACH STATEMENT EXECUTE FUNCTION daybook.refuse_change()
daybook_log.checkpoints: PRIMARY KEY (size)
daybook_log.checkpoints: column made_at timestamp with time zone NOT NULL
daybook_log.checkpoints: column note text NOT NULL
daybook_log.checkpoints: column size bigint NOT NULL
daybook_log.checkpoints: ordinary table
daybook_log.leaves: CHECK (((length(hashes) > 0) AND ((length(hashes) % 32) = 0)))
daybook_log.leaves: CHECK ((first > 0))
daybook_log.leaves: CREATE TRIGGER append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON daybook_log.leaves FOR EACH STATEMENT EXECUTE FUNCTION daybook.refuse_change()
daybook_log.leaves: PRIMARY KEY (first)
daybook_log.leaves: column first bigint NOT NULL
daybook_log.leaves: column hashes bytea NOT NULL
daybook_log.leaves: ordinary table
daybook_log.subtrees: CHECK (((level > 0) AND (((level)::integer % 8) = 0)))
daybook_log.subtrees: CHECK ((index >= 0))
daybook_log.subtrees: CHECK ((length(hash) = 32))
daybook_log.subtrees: CREATE TRIGGER append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON daybook_log.subtrees FOR EACH STATEMENT EXECUTE FUNCTION daybook.refuse_change()
daybook_log.subtrees: PRIMARY KEY (level, index)
daybook_log.subtrees: column hash bytea NOT NULL
daybook_log.subtrees: column index bigint NOT NULL
daybook_log.subtrees: column level smallint NOT NULL
daybook_log.subtrees: ordinary table
"""  # noqa: E501


def unlike(db: Connection[Any]) -> list[Finding]:
    """What differs from MADE. `db`: in autocommit mode, of any role that may look into our schemas."""
    found, made = facts(db), {*MADE.splitlines()}
    return [
        Finding(Fault.TABLE, None, f"{table} is not as Daybook makes it: {fact} {what}.")
        for these, what in ((made - found, "is missing"), (found - made, "was added"))
        for table, _, fact in (one.partition(": ") for one in sorted(these))
    ]


def facts(db: Connection[Any]) -> set[str]:
    """What the catalogue says of the tables, a line for each fact, the same on every version of PostgreSQL."""
    with db.transaction():
        # Names are written with their schema then, and quoted where they must be; and no operator is anybody else's.
        db.execute("SET LOCAL search_path = pg_catalog; SET LOCAL quote_all_identifiers = off")
        return {f"{name}: {' '.join(fact.split())}" for name, fact in db.execute(_FACTS)}


# NOT NULL is looked for in the columns: it is a constraint since PostgreSQL 18 only.
_FACTS = """
WITH tables AS (
    SELECT name, to_regclass(name) AS id FROM (VALUES
        ('daybook.events'), ('daybook_log.leaves'), ('daybook_log.subtrees'), ('daybook_log.checkpoints')
    ) AS ours (name)
)
SELECT name, CASE WHEN relkind = 'r' AND relpersistence = 'p' THEN 'ordinary table'
    ELSE 'kind ' || relkind::text || relpersistence::text END
FROM tables JOIN pg_class ON pg_class.oid = tables.id
UNION ALL
SELECT name, 'row security' FROM tables JOIN pg_class ON pg_class.oid = tables.id
WHERE relrowsecurity OR relforcerowsecurity
UNION ALL
SELECT name, 'policy ' || polname FROM tables JOIN pg_policy ON polrelid = id
UNION ALL
SELECT name, 'rule ' || rulename FROM tables JOIN pg_rewrite ON ev_class = id
UNION ALL
SELECT name, 'child table ' || inhrelid::regclass::text FROM tables JOIN pg_inherits ON inhparent = id
UNION ALL
SELECT name, 'parent table ' || inhparent::regclass::text FROM tables JOIN pg_inherits ON inhrelid = id
UNION ALL
SELECT name, CASE WHEN tgenabled IN ('O', 'A') THEN '' ELSE 'disabled: ' END || pg_get_triggerdef(pg_trigger.oid)
FROM tables JOIN pg_trigger ON tgrelid = id WHERE NOT tgisinternal
UNION ALL
SELECT name, pg_get_constraintdef(pg_constraint.oid)
FROM tables JOIN pg_constraint ON conrelid = id WHERE contype <> 'n'
UNION ALL
SELECT name, format('column %s %s', attname, format_type(atttypid, atttypmod))
    || CASE WHEN attnotnull THEN ' NOT NULL' ELSE '' END || CASE WHEN attgenerated <> '' THEN ' GENERATED' ELSE '' END
FROM tables JOIN pg_attribute ON attrelid = id WHERE attnum > 0 AND NOT attisdropped
UNION ALL
SELECT 'daybook.refuse_change', prosrc FROM pg_proc
WHERE pronamespace = to_regnamespace('daybook') AND proname = 'refuse_change'
"""
