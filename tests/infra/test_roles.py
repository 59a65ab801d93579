"""Who may do what in the database: what each role is for, it may, and nothing else, whatever statement it is sent."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from importlib.resources import files
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.errors import InsufficientPrivilege

from api.composition import Parts
from domain.kernel import Refused, new_id
from infra import migrations
from infra.embedded import EmbeddedPostgresError
from infra.migrations import migrate
from infra.person_keys import rotate_one
from infra.roles import Account, Logins, Role, RoleError, logins
from projections.rebuild import rebuild
from projections.registry import models
from projections.tables import install
from tests.api.filled import opened
from tests.postgres import embedded
from tests.roles import by_role, check
from tests.toy import BeginDiary, Diary, WritePage, asking, handled, toy_book


def migrated(conninfo: str) -> Logins:
    migrate(conninfo)
    with psycopg.connect(conninfo, autocommit=True) as db:
        install(db, models)
    return logins(conninfo)


@pytest.fixture
def login(database: str) -> Logins:
    return logins(database)


@pytest.fixture(scope="module")
def refusing(module_database: str) -> Logins:
    """Of one book for all tests in which everything is refused."""
    return logins(module_database)


@pytest.fixture(params=list(Role))
def narrow(request: pytest.FixtureRequest, refusing: Logins) -> str:
    """Each role's connection string."""
    return by_role(refusing)[request.param]


@contextmanager
def operators(
    superuser: str, makes_roles: bool = False, name: str | None = None, books: int = 1
) -> Iterator[list[str]]:
    """Books on an operator's own PostgreSQL: databases, and the role that owns them, with no others beside it."""
    owner = name or f"own_{uuid4().hex[:8]}"
    names = [f"test_{uuid4().hex}" for _ in range(books)]
    with psycopg.connect(superuser, autocommit=True) as db:
        db.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'secret'").format(sql.Identifier(owner)))
        if makes_roles:
            db.execute(sql.SQL("ALTER ROLE {} CREATEROLE").format(sql.Identifier(owner)))
        for book in names:
            db.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(*map(sql.Identifier, (book, owner))))
        try:
            yield [make_conninfo(superuser, user=owner, password="secret", dbname=book) for book in names]
        finally:
            for book in names:
                db.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(book)))
            mine = [owner, *(Account.beside(owner, "", role).name for role in Role)]
            left = db.execute("SELECT rolname FROM pg_roles WHERE rolname = ANY(%s)", (mine,)).fetchall()
            db.execute(sql.SQL("DROP ROLE {}").format(sql.SQL(", ").join(sql.Identifier(role) for (role,) in left)))


def administer(superuser: str, conninfo: str, *statements: str) -> None:
    """What an administrator runs in the book's database, as they are told."""
    with psycopg.connect(make_conninfo(superuser, dbname=conninfo_to_dict(conninfo)["dbname"]), autocommit=True) as db:
        for statement in statements:
            db.execute(statement.encode())


def owner_of(parts: Parts, id: UUID) -> object:
    """Whose diary it is, read back from the book and opened."""
    state = parts.daybook.fold(id).state
    assert isinstance(state, Diary)
    return state.owner


def test_every_role_may_do_what_it_is_for_and_nothing_else(login: Logins) -> None:
    check(login)


def test_everybody_else_may_do_nothing(login: Logins, database: str) -> None:
    with psycopg.connect(database) as db:
        found = db.execute("""
            SELECT relname FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace
            WHERE nspname LIKE 'daybook%' AND relkind <> 'S' AND has_table_privilege('public', pg_class.oid, 'SELECT')
            UNION SELECT nspname FROM pg_namespace
            WHERE nspname LIKE 'daybook%' AND has_schema_privilege('public', oid, 'USAGE')
            UNION SELECT proname FROM pg_proc JOIN pg_namespace n ON n.oid = pronamespace
            WHERE nspname LIKE 'daybook%' AND has_function_privilege('public', pg_proc.oid, 'EXECUTE')
        """).fetchall()
    assert found == []


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE daybook.events SET actor = 'nobody'",
        "DELETE FROM daybook.events",
        "TRUNCATE daybook.events",
        "ALTER TABLE daybook.events DISABLE TRIGGER append_only",
        "DROP TABLE daybook.events",
        "UPDATE daybook_log.checkpoints SET note = ''",
        "DELETE FROM daybook_log.leaves",
        "CREATE TABLE daybook.mine ()",
        "CREATE FUNCTION public.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    ],
)
def test_nobody_changes_the_book(narrow: str, statement: str) -> None:
    """Not by the trigger, which the owner could switch off: the right is missing."""
    with psycopg.connect(narrow, autocommit=True) as db, pytest.raises(InsufficientPrivilege):
        db.execute(statement.encode())


def test_only_who_erases_destroys_a_key(refusing: Logins) -> None:
    for role, conninfo in by_role(refusing).items():
        with psycopg.connect(conninfo) as db:
            destroy = "UPDATE daybook_keys.subjects SET wrapped = NULL, destroyed_at = now()"
            if role == "erasing":
                db.execute(destroy)
                db.rollback()
            else:
                with pytest.raises(InsufficientPrivilege):
                    db.execute(destroy)


READS_A_KEY = (
    "SELECT wrapped FROM daybook_keys.subjects",
    "SELECT FROM daybook_keys.subjects WHERE wrapped IS NOT NULL",
    "SELECT s::text FROM daybook_keys.subjects s",
    "SELECT wrapped FROM daybook_keys.purposes",
    "SELECT proof FROM daybook_keys.epochs",
    "INSERT INTO daybook_keys.subjects (subject, wrapped, made_at) VALUES (gen_random_uuid(), '', now()) RETURNING *",
    "UPDATE daybook_keys.subjects SET wrapped = NULL, destroyed_at = now() RETURNING wrapped",
    "UPDATE daybook_keys.subjects SET wrapped = wrapped || 'x'",
    "TABLE pg_statistic",
    "COPY daybook_keys.subjects (wrapped) TO STDOUT",
)


@pytest.mark.parametrize("statement", READS_A_KEY)
def test_only_who_seals_and_opens_reads_a_key(refusing: Logins, statement: str) -> None:
    """Who adds keys, and who destroys them, can do so without."""
    for role, conninfo in by_role(refusing).items():
        if role != "sealing":
            with psycopg.connect(conninfo, autocommit=True) as db, pytest.raises(InsufficientPrivilege):
                db.execute(statement.encode())


def test_a_book_in_which_who_appends_could_read_keys_is_narrowed_by_the_migration(
    database: str, tmp_path: Path
) -> None:
    with toy_book(database, tmp_path) as parts:
        once, twice, gone = (handled(parts, BeginDiary(id=new_id(), owner="Ada"), asking()).id for _ in range(3))
        rotate_one(database, tmp_path / "master.key", twice)
        with psycopg.connect(database) as db:
            db.execute(
                "UPDATE daybook_keys.subjects SET wrapped = NULL, destroyed_at = now() WHERE subject = %s", (gone,)
            )
    with psycopg.connect(database, autocommit=True) as db:  # as the version before had it
        db.execute("ALTER TABLE daybook_keys.subjects DROP COLUMN generations")
        db.execute("DELETE FROM daybook_migrations.applied WHERE name = '0013_counted_keys.sql'")
        db.execute("GRANT SELECT, INSERT ON daybook_keys.subjects TO daybook_appending")
        db.execute("GRANT SELECT, INSERT, UPDATE ON daybook_keys.subjects TO daybook_erasing")
        db.execute("GRANT SELECT ON daybook_keys.epochs TO daybook_appending, daybook_erasing")
    assert migrate(database) == (["0013_counted_keys.sql"], [])
    check(logins(database))
    with psycopg.connect(database) as db:
        rows = db.execute("SELECT subject, generations FROM daybook_keys.subjects").fetchall()
    assert {*rows} == {(once, 1), (twice, 2), (gone, None)}
    with toy_book(database, tmp_path) as parts:
        handled(parts, WritePage(id=twice, page=new_id(), text="under the second"), asking())
        handled(parts, WritePage(id=once, page=new_id(), text="under the first"), asking())
        with pytest.raises(Refused):
            handled(parts, WritePage(id=gone, page=new_id(), text="under none"), asking())


@pytest.mark.parametrize(
    "table",
    ["daybook.events", "daybook.receipts", "daybook.reservations", "daybook_keys.subjects", "daybook_keys.purposes"],
)
def test_who_reads_for_clients_reads_neither_book_nor_keys(refusing: Logins, table: str) -> None:
    with psycopg.connect(refusing.reading, autocommit=True) as db, pytest.raises(InsufficientPrivilege):
        db.execute(f"SELECT FROM {table}".encode())


@pytest.mark.parametrize("way", ["SET ROLE {}", "SET SESSION AUTHORIZATION {}", "SELECT set_config('role', {}, false)"])
def test_no_statement_leads_back_to_the_owner(narrow: str, way: str) -> None:
    with psycopg.connect(narrow, autocommit=True) as db:
        mine = db.info.user
        with pytest.raises(psycopg.Error, match="permission denied"):
            db.execute(way.format("'daybook'").encode())
        for back in ("RESET ROLE", "SET ROLE NONE", "RESET SESSION AUTHORIZATION", "DISCARD ALL"):
            db.execute(back.encode())
        row = db.execute("SELECT current_user::text, session_user::text").fetchone()
    assert row == (mine, mine)
    assert mine != "daybook"


def test_a_rebuilt_model_is_for_the_same_roles(database: str, tmp_path: Path) -> None:
    with opened(database, tmp_path) as parts:
        rebuild(parts.conninfo, parts.mapper, next(model for model in models if model.name == "customers"))
        check(parts.logins)


def test_a_book_of_an_older_version_is_divided_by_the_migration(bare_database: str, tmp_path: Path) -> None:
    with psycopg.connect(bare_database, autocommit=True) as db:
        db.execute("CREATE SCHEMA daybook_migrations")
        db.execute(
            "CREATE TABLE daybook_migrations.applied (name text PRIMARY KEY, applied_at timestamptz DEFAULT now())"
        )
        # Today's code needs the epochs and the count of generations, which need what comes before them.
        first = ["0001_book.sql", "0002_projections.sql", "0003_imported.sql", "0008_erasure.sql", "0009_epochs.sql"]
        first += ["0013_counted_keys.sql"]
        for name in first:
            db.execute((files(migrations) / name).read_bytes())
            db.execute("INSERT INTO daybook_migrations.applied (name) VALUES (%s)", (name,))
        db.execute("GRANT USAGE ON SCHEMA daybook TO PUBLIC; GRANT SELECT ON ALL TABLES IN SCHEMA daybook TO PUBLIC")
        install(db, models)
    assert not logins(bare_database).divided
    with toy_book(bare_database, tmp_path) as parts:  # as the old version worked
        id = handled(parts, BeginDiary(id=new_id(), owner="Ada"), asking()).id
    applied, wanting = migrate(bare_database)
    later = ["0004_nobody_else.sql", "0005_access.sql", "0006_deactivation.sql", "0007_log.sql"]
    later += ["0010_attestation.sql", "0011_generations.sql", "0012_receipts.sql", "0014_requests_of_imports.sql"]
    assert (applied, wanting) == (later, [])
    check(logins(bare_database))
    with toy_book(bare_database, tmp_path) as parts:
        assert owner_of(parts, id) == "Ada"


def test_an_embedded_server_of_an_older_version_gets_the_roles(tmp_path: Path) -> None:
    server = embedded(tmp_path / "postgres")
    with server as conninfo:
        with psycopg.connect(server.superuser_conninfo(), autocommit=True) as db:
            for role in Role:
                db.execute(f"DROP ROLE daybook_{role}".encode())
        assert migrate(conninfo).wanting, "its owner may not make them"
        with embedded(tmp_path / "postgres") as again:
            check(migrated(again))


def test_a_password_that_is_gone_is_not_made_anew(tmp_path: Path) -> None:
    """The roles' passwords follow from it: another one would shut them out."""
    with embedded(tmp_path / "postgres"):
        (tmp_path / "postgres" / "password").unlink()
        with pytest.raises(EmbeddedPostgresError, match="is gone"), embedded(tmp_path / "postgres"):
            pass
        assert not (tmp_path / "postgres" / "password").exists()


def test_what_was_granted_beside_is_taken_back(login: Logins, database: str) -> None:
    with psycopg.connect(database, autocommit=True) as db:
        db.execute(
            "GRANT SELECT ON daybook_keys.subjects TO daybook_reading;"
            " GRANT USAGE ON SCHEMA daybook_keys TO daybook_reading"
        )
        db.execute("GRANT SELECT (wrapped), UPDATE (made_at) ON daybook_keys.subjects TO daybook_appending")
        db.execute("REVOKE INSERT ON daybook.events FROM daybook_appending")
        db.execute("REVOKE SELECT (generations) ON daybook_keys.subjects FROM daybook_erasing")
    assert migrate(database) == ([], [])
    check(login)


def test_where_nothing_differs_the_catalogue_is_left_alone(login: Logins, database: str) -> None:
    def touched() -> object:
        with psycopg.connect(database) as db:
            return db.execute("SELECT xmin::text, relname FROM pg_class WHERE relacl IS NOT NULL ORDER BY 2").fetchall()

    before = touched()
    assert before
    migrate(database)
    assert touched() == before


def test_where_the_roles_cannot_be_made_an_administrator_is_told_how(superuser: str, tmp_path: Path) -> None:
    with operators(superuser) as [conninfo]:
        _, wanting = migrate(conninfo)
        assert not migrated(conninfo).divided
        with toy_book(conninfo, tmp_path) as parts:
            id = handled(parts, BeginDiary(id=new_id(), owner="Ada"), asking()).id
        assert len(wanting) == 3 * len(Role)
        assert "secret" not in str(wanting)
        administer(superuser, conninfo, *wanting)
        assert not logins(conninfo).divided, "until it is granted"
        assert migrate(conninfo).wanting == []
        check(logins(conninfo))
        with toy_book(conninfo, tmp_path) as parts:
            assert owner_of(parts, id) == "Ada"
        with psycopg.connect(conninfo, autocommit=True) as db:  # and back to one role
            for login in by_role(logins(conninfo)).values():
                name = str(conninfo_to_dict(login)["user"])
                db.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(name)))
        assert not logins(conninfo).divided


def test_who_may_make_roles_makes_them(superuser: str) -> None:
    with operators(superuser, makes_roles=True) as [conninfo]:
        assert migrate(conninfo).wanting == []
        assert logins(conninfo).divided


def test_two_books_of_one_owner_may_be_migrated_at_once(superuser: str) -> None:
    with operators(superuser, makes_roles=True, books=4) as books, ThreadPoolExecutor(4) as threads:
        assert [done.wanting for done in threads.map(migrate, books)] == [[]] * 4
        for login in map(migrated, books):
            check(login)


def test_a_book_is_shut_to_the_roles_of_another_owners(superuser: str, login: Logins) -> None:
    long = "x" * 60
    with ExitStack() as stack:
        [first], [second], [third] = (
            stack.enter_context(operators(superuser, makes_roles=True, name=name))
            for name in (None, f"{long}a", f"{long}b")
        )
        users: set[str] = set()
        for mine in map(migrated, (first, second, third)):
            check(mine)
            for role, conninfo in by_role(mine).items():
                users.add(str(conninfo_to_dict(conninfo)["user"]))
                there = make_conninfo(conninfo, dbname=conninfo_to_dict(login.reading)["dbname"])
                table = "daybook_read.customers" if role == "reading" else "daybook.events"
                with psycopg.connect(there, autocommit=True) as db, pytest.raises(InsufficientPrivilege):
                    db.execute(f"SELECT FROM {table}".encode())
        assert len(users) == 3 * len(Role)


def test_anothers_role_of_that_name_is_left_alone(superuser: str) -> None:
    with operators(superuser, makes_roles=True) as [conninfo]:
        name = f"{conninfo_to_dict(conninfo)['user']}_reading"
        administer(superuser, conninfo, f"CREATE ROLE {name} LOGIN PASSWORD 'an analyst'")
        assert migrate(conninfo).wanting == [f'-- "{name}" is another\'s: rename that role']
        assert not logins(conninfo).divided
        psycopg.connect(make_conninfo(conninfo, user=name, password="an analyst")).close()


def test_a_role_that_may_not_connect_is_told(superuser: str) -> None:
    with operators(superuser) as [conninfo]:
        book = conninfo_to_dict(conninfo)["dbname"]
        administer(superuser, conninfo, *migrate(conninfo).wanting, f"REVOKE CONNECT ON DATABASE {book} FROM PUBLIC")
        wanting = migrate(conninfo).wanting
        assert all("GRANT CONNECT ON DATABASE" in statement for statement in wanting)
        administer(superuser, conninfo, *wanting)
        assert migrate(conninfo).wanting == []


def test_the_owners_new_password_makes_new_ones(superuser: str) -> None:
    with operators(superuser, makes_roles=True) as [conninfo]:
        migrate(conninfo)
        user = conninfo_to_dict(conninfo)["user"]
        administer(superuser, conninfo, f"ALTER ROLE {user} PASSWORD 'another'")
        changed = make_conninfo(conninfo, password="another")
        with pytest.raises(RoleError, match="Run `daybook migrate`") as refused:
            logins(changed)
        assert "another" not in str(refused.value)
        assert migrate(changed).wanting == []
        check(migrated(changed))
