"""What each role of a book may do, written down apart from the code: every table and schema that there is."""

import psycopg

from infra.roles import Logins

# S SELECT, I INSERT, U UPDATE, D DELETE, u USAGE of a schema or a sequence. Nobody may TRUNCATE or anything else. Of a
# column: beside what one may do with all of its table.
MATRIX = """
                                reading  appending  sealing  posting  admitting  erasing
    daybook                     -        u          u        u        -          u
    daybook.events              -        SI         S        S        -          SI
    daybook.receipts            -        SI         S        SD       -          SI
    daybook.reservations        -        SID        S        -        -          SID
    daybook.imported            -        -          SIU      -        -          -
    daybook.numbers             -        -          u        -        -          -
    daybook_access              u        -          -        -        u          -
    daybook_access.passwords    -        -          -        -        SIU        -
    daybook_access.sessions     -        -          -        -        SIUD       -
    daybook_access.resets       -        -          -        -        SIUD       -
    daybook_access.attempts     -        -          -        -        SIUD       -
    daybook_access.token_uses   S        -          -        -        SIU        -
    daybook_access.journal      -        -          -        -        SI         -
    daybook_access.journal_id_seq -      -          -        -        -          -
    daybook_keys                -        u          u        -        -          u
    daybook_keys.subjects       -        -          S        -        -          -
    daybook_keys.subjects.subject -      SI         -        -        -          SI
    daybook_keys.subjects.wrapped -      I          -        -        -          IU
    daybook_keys.subjects.made_at -      I          -        -        -          I
    daybook_keys.subjects.destroyed_at - -          -        -        -          IU
    daybook_keys.subjects.generations  - S          -        -        -          S
    daybook_keys.purposes       -        -          SI       -        -          -
    daybook_keys.rewritings     -        -          -        -        -          -
    daybook_keys.epochs         -        -          S        -        -          -
    daybook_keys.epochs.epoch   -        S          -        -        -          S
    daybook_keys.rotations      -        -          -        -        -          -
    daybook_log                 -        -          u        u        -          -
    daybook_log.leaves          -        -          S        SI       -          -
    daybook_log.subtrees        -        -          S        SI       -          -
    daybook_log.checkpoints     -        -          S        SI       -          -
    daybook_migrations          -        -          -        -        -          -
    daybook_migrations.applied  -        -          -        -        -          -
    daybook_projections         u        -          u        u        -          -
    daybook_projections.models  S        -          S        SU       -          -
    daybook_projections.parked  S        -          S        SIUD     -          -
    daybook_projections.lease   -        -          S        SU       -          -
    daybook_projections.mismatches -     -          S        SIUD     -          -
    daybook_projections.attestation -    -          S        SU       -          -
    daybook_read                u        -          -        u        -          -
    daybook_read.*              S        -          -        SIUD     -          -
    public                      u        u          u        u        u          u
"""
_TABLE = {
    "SELECT": "S",
    "INSERT": "I",
    "UPDATE": "U",
    "DELETE": "D",
    "TRUNCATE": "t",
    "REFERENCES": "r",
    "TRIGGER": "g",
}
_MAINTAIN = {"MAINTAIN": "m"}
"""From PostgreSQL 17 on."""
_COLUMN = {"SELECT": "S", "INSERT": "I", "UPDATE": "U", "REFERENCES": "r"}
_SEQUENCE = {"SELECT": "S", "UPDATE": "U", "USAGE": "u"}
_SCHEMA = {"CREATE": "c", "USAGE": "u"}

_OURS = "nspname !~ '^pg_' AND nspname <> 'information_schema'"
_SCHEMAS = f"SELECT nspname, {{}} FROM pg_namespace AS thing WHERE {_OURS}"
_RELATIONS = f"""
    SELECT nspname || '.' || relname, {{}}
    FROM pg_class AS thing JOIN pg_namespace AS schema ON schema.oid = relnamespace WHERE {_OURS} AND relkind IN ({{}})
"""
_COLUMNS = f"""
    SELECT nspname || '.' || relname || '.' || attname, {{}}
    FROM pg_class AS thing JOIN pg_namespace AS schema ON schema.oid = relnamespace
        JOIN pg_attribute ON attrelid = thing.oid AND attnum > 0 AND NOT attisdropped
    WHERE {_OURS} AND relkind IN ({{}})
"""


def check(logins: Logins) -> None:
    """Every role may do what MATRIX says, of everything that is in the database: what is new there must be decided."""
    assert logins.divided
    found = {role: may(conninfo) for role, conninfo in by_role(logins).items()}
    [roles, *rows] = [line.split() for line in MATRIX.strip().splitlines()]
    expected = {
        role: {thing: letters[at].strip("-") for thing, *letters in rows if letters[at] != "-" or not is_column(thing)}
        for at, role in enumerate(roles)
    }
    assert found == expected


def is_column(thing: str) -> bool:
    return thing.count(".") == 2


def by_role(logins: Logins) -> dict[str, str]:
    return {
        role: getattr(logins, role) for role in ("reading", "appending", "sealing", "posting", "admitting", "erasing")
    }


def may(conninfo: str) -> dict[str, str]:
    """By schema, table and sequence of the database, what whoever logs in so may do, and by column what beside that.

    Read models are one line.
    """
    with psycopg.connect(conninfo, autocommit=True) as db:
        table = _TABLE | (_MAINTAIN if db.info.server_version >= 170000 else {})
        relations = "'r', 'p', 'v', 'm', 'f'"
        found = {
            **_held(db, _SCHEMAS, "has_schema_privilege", _SCHEMA),
            **_held(db, _RELATIONS, "has_sequence_privilege", _SEQUENCE, "'S'"),
            **_held(db, _RELATIONS, "has_table_privilege", table, relations),
        }
        columns = _held(db, _COLUMNS, "has_column_privilege", _COLUMN, relations, "thing.oid, attnum")
    for column, letters in columns.items():
        if beside := "".join(letter for letter in letters if letter not in found[column.rpartition(".")[0]]):
            found[column] = beside
    models = {found.pop(thing) for thing in [*found] if thing.startswith("daybook_read.")}
    assert len(models) == 1, "some read model is not as the others"
    return {**found, "daybook_read.*": models.pop()}


def _held(
    db: psycopg.Connection,
    query: str,
    function: str,
    letters: dict[str, str],
    kinds: str = "",
    thing: str = "thing.oid",
) -> dict[str, str]:
    asked = " || ".join(
        f"CASE WHEN {function}({thing}, '{privilege}') THEN '{letter}' ELSE '' END"
        for privilege, letter in letters.items()
    )
    return dict(db.execute(query.format(asked, kinds).encode()).fetchall())
