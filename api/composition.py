"""The composition root: the one place where the parts of a process are put together."""

import gc
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path as File
from typing import Any

from psycopg import Connection
from psycopg_pool import ConnectionPool

from api.commands import Commands, Residence
from domain.catalogue import Catalogue, catalogue
from domain.daybook import Daybook
from domain.kernel import NewContactPoint, Path
from domain.kernel.admission import Admission, Completion
from domain.staff_member import ChangeStaffMemberEmail, RegisterStaffMember
from infra import silence
from infra.announcer import Announcer
from infra.committer import Committer
from infra.contacts import complete_contact_point, complete_staff_email, forget_domains
from infra.epochs import holds_keys
from infra.erasure.carrying_out import Erasures
from infra.erasure.forgetting import Forgetting, forgetting
from infra.erasure.ledger import NAME, Ledger
from infra.event_store import EventStore, Pool
from infra.factory import BookFactory
from infra.mapper import SealingMapper
from infra.master_key import master_key
from infra.patience import PATIENCE
from infra.roles import Logins, logins
from infra.times import tell_times
from infra.vault import Vault

READERS = 8
"""Connections that commands of one process read through."""

YOUNG = 50_000
"""Objects after which Python looks for cycles among them, instead of 700.

A batch of postings is some ten thousand that live for a moment and hold no cycles: a third of the CPU of projecting
went into looking at them, and at all that the process has loaded, again and again.
"""


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The parts of a running process. The connection string, which may hold a password, stays out of its text."""

    conninfo: str = field(repr=False)
    """The owner's."""
    logins: Logins
    pool: Pool
    vault: Vault
    store: EventStore
    mapper: SealingMapper
    daybook: Daybook
    commands: Commands
    announcer: Announcer
    erasures: Erasures
    forgetting: Forgetting


@contextmanager
def assembled(
    conninfo: str, master_key_file: File, *, erasure_ledger: File | None = None, catalogue: Catalogue = catalogue
) -> Generator[Parts]:
    """The parts, wired and running, on a migrated database; closed in order at the end.

    `conninfo`: the owner's; each part logs in as the role that is for it. `erasure_ledger`: by default it lies beside
    the master key. Raises RoleError where it can't, and
    MasterKeyError where the key file is missing for a book that was begun, or is another book's.
    """
    gc.set_threshold(YOUNG)
    login = logins(conninfo)
    with ExitStack() as stack:
        pool: Pool = stack.enter_context(
            ConnectionPool[Connection[tuple[Any, ...]]](
                login.sealing,
                min_size=1,
                max_size=READERS,
                kwargs={"autocommit": True, "application_name": "daybook commands"},
                connection_class=silence.Connection,
                configure=tell_times,
                timeout=PATIENCE,
                open=True,
                name="commands",
            )
        )
        with pool.connection() as db:
            begun = holds_keys(db)
        vault = Vault(master_key(master_key_file, begun=begun), pool)
        announcer = Announcer(login.reading)
        stack.callback(announcer.close)
        committer = Committer(login.appending, vault, announcer.announce)
        stack.callback(committer.close)
        eraser = Committer(login.erasing, vault, announcer.announce)
        stack.callback(eraser.close)
        store, mapper = EventStore(pool, committer, vault), SealingMapper(catalogue, vault)
        daybook = Daybook(BookFactory(store), mapper, catalogue, store, vault)
        forgets = stack.enter_context(forgetting(pool, vault, daybook.forget))
        forgets.also(forget_domains)
        ledger = Ledger(erasure_ledger or master_key_file.with_name(NAME))
        residence = Residence(daybook)
        completions: dict[type, Completion] = {
            NewContactPoint: partial(_completed, residence),
            RegisterStaffMember: complete_staff_email,
            ChangeStaffMemberEmail: complete_staff_email,
        }
        admission = Admission(catalogue.prefixes, completions)
        yield Parts(
            conninfo=conninfo,
            logins=login,
            pool=pool,
            vault=vault,
            store=store,
            mapper=mapper,
            daybook=daybook,
            commands=Commands(daybook, admission, residence, vault.api_token),
            announcer=announcer,
            erasures=Erasures(pool, eraser, mapper, daybook, ledger),
            forgetting=forgets,
        )


def _completed(residence: Residence, point: NewContactPoint, path: Path) -> NewContactPoint:
    """A contact point as typed, with its normalised value."""
    return complete_contact_point(point, path, residence.phone_region)
