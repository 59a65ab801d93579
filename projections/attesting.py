"""The worker that attests beside the runner: it draws records, looks at them, and keeps what it has found."""

import logging
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from random import Random, SystemRandom

from infra.beside import beside
from infra.mapper import SealingMapper
from infra.silence import Connection
from infra.times import tell_times
from projections import alarms
from projections.attestation import Attestation, Looked, Record
from projections.drawing import InTurn, Strangers, at_random
from projections.lanes import described
from projections.model import Model
from projections.tables import Db

FEWEST, AT_ONCE = 4, 200
"""Records of the book in a round, at the least and at the most; half of them are drawn, half come in turn."""

AGAIN = 50
"""Known mismatches that a round looks at again."""

PAUSE = 1.0
"""Seconds between two rounds, at the least."""

_log = logging.getLogger("daybook.projections")


class Attestor:
    """Goes round after round; remembers whose turn it is."""

    def __init__(self, mapper: SealingMapper, models: Sequence[Model], random: Random | None = None) -> None:
        self._attestation, self._random = Attestation(mapper, models), random or SystemRandom()
        self._in_turn, self._strangers = InTurn(self._attestation), Strangers(self._attestation)

    def round(self, db: Db, many: int) -> Looked:
        """Look at about so many records of the book: half of them drawn, half in turn. What differed before is looked
        at again, and some ids of rows are looked up in the book. Keeps what was found. `db`: in autocommit mode."""
        records = alarms.known(db, AGAIN)
        records += at_random(db, self._attestation, self._random, many // 2)
        in_turn, seen = self._in_turn.next(db, many - many // 2)
        strangers, _ = self._strangers.next(db)
        looked = self._look(db, [*records, *in_turn, *strangers])
        if seen < many - many // 2:
            alarms.passed(db)
        return looked

    def all(self, db: Db, at_once: int = AT_ONCE) -> Iterator[tuple[int, Looked]]:
        """Look at every record once: what was found, step by step, with the number of aggregates of each step."""
        yield 0, self._look(db, alarms.known(db, alarms.MOST))
        seen = at_once
        while seen == at_once:
            records, seen = self._in_turn.next(db, at_once)
            yield seen, self._look(db, records)
        through = False
        while not through:
            strangers, through = self._strangers.next(db)
            yield 0, self._look(db, strangers)
        alarms.passed(db)

    def _look(self, db: Db, records: Sequence[Record]) -> Looked:
        looked = self._attestation.look(db, records)
        alarms.keep(db, looked)
        return looked


@contextmanager
def attesting(
    conninfo: str, mapper: SealingMapper, models: Sequence[Model], leads: Callable[[], bool], per_second: int
) -> Generator[None]:
    """While the block lasts, a thread attests for as long as the runner of this process leads.

    `per_second`: entries that are folded again each second, on average; 0: none.
    """
    if not per_second:
        yield
        return
    with beside("attestation", partial(_run, conninfo, Attestor(mapper, models), leads, per_second)):
        yield


def records_of(per_second: int) -> int:
    """How many records of the book a round takes at this rate."""
    return min(max(per_second // 4, FEWEST), AT_ONCE)


def prepare_to_attest(db: Db) -> None:
    """Settings for a session that attests."""
    # Records are few and found by an index: no plan made while a table was small may scan a large one.
    db.execute("SET jit = off; SET enable_seqscan = off; SET idle_in_transaction_session_timeout = '30s'")
    tell_times(db)


def _run(
    conninfo: str, attestor: Attestor, leads: Callable[[], bool], per_second: int, stopping: threading.Event
) -> None:
    many = records_of(per_second)
    pause = PAUSE
    while not stopping.wait(pause):
        pause = PAUSE
        try:
            with Connection.connect(conninfo, autocommit=True, application_name="daybook attestation") as db:
                prepare_to_attest(db)
                while not stopping.wait(pause):
                    pause = max(PAUSE, attestor.round(db, many).entries / per_second) if leads() else PAUSE
        except Exception as error:  # noqa: BLE001  # whatever it is, the next round may be spared it
            _log.warning("The attestation waits, because of: %s", described(error))
