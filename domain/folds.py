"""Folded aggregates kept in memory, off the commit path, and whose turn it is to change one."""

import threading
from collections import OrderedDict, deque
from typing import NamedTuple
from uuid import UUID

from domain.kernel import State
from domain.steps import Signal


class Fold(NamedTuple):
    """An aggregate as folded up to a version. Version 0: it does not exist."""

    version: int
    position: int
    kind: str | None
    state: State | None
    opened: bool
    """Whether its personal values were opened on the way; if not, only its standing can be told from the state."""


NOTHING = Fold(0, 0, None, None, opened=True)
_NOTHING_SEALED = NOTHING._replace(opened=False)


class Folds:
    """The aggregates used last. A fold is only a head start: what was appended since is read and folded on top.

    `capacity` is in events, which is what a state's size grows with; an aggregate weighs its version and a little more.
    """

    OVERHEAD = 10

    def __init__(self, capacity: int) -> None:
        self._capacity, self._weight = capacity, 0
        self._folds: OrderedDict[UUID, Fold] = OrderedDict()
        self._lock = threading.Lock()
        self.cleared = 0
        """How often."""

    def get(self, id: UUID, *, opened: bool) -> Fold:
        """What is remembered of an aggregate; nothing where it was folded sealed and the opened one is asked for."""
        with self._lock:
            fold = self._folds.get(id)
            if fold is None or (opened and not fold.opened):
                return NOTHING if opened else _NOTHING_SEALED
            self._folds.move_to_end(id)
            return fold

    def clear(self) -> None:
        """Remember nothing."""
        with self._lock:
            self._folds.clear()
            self._weight = 0
            self.cleared += 1

    def put(self, id: UUID, fold: Fold, cleared: int) -> None:
        """Remember a fold, unless a newer or an opened one of the same version is there.

        `cleared`: as it was before anything of the fold was read; where all was forgotten since, this is too.
        """
        with self._lock:
            if cleared != self.cleared:
                return
            former = self._folds.pop(id, None)
            if former is not None:
                self._weight -= former.version + self.OVERHEAD
                if (former.opened, former.version) > (fold.opened, fold.version):
                    fold = former
            self._folds[id] = fold
            self._weight += fold.version + self.OVERHEAD
            while self._weight > self._capacity and len(self._folds) > 1:
                _, oldest = self._folds.popitem(last=False)
                self._weight -= oldest.version + self.OVERHEAD


class Turns:
    """One command at a time for each aggregate in this process: two at once would only decide one of them twice."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queues: dict[UUID, deque[Signal[None]]] = {}

    async def take(self, id: UUID) -> None:
        """Wait for one's turn; whoever got it has to give it back."""
        with self._lock:
            queue = self._queues.get(id)
            if queue is None:
                self._queues[id] = deque()
                return
            turn = Signal[None]()
            queue.append(turn)
        try:
            await turn
        except BaseException:
            self._abandon(id, turn)
            raise

    def give_back(self, id: UUID) -> None:
        with self._lock:
            queue = self._queues[id]
            if not queue:
                del self._queues[id]
                return
            turn = queue.popleft()
        turn.give(None)

    def _abandon(self, id: UUID, turn: Signal[None]) -> None:
        """Whoever waited went away; perhaps it was given the turn just then."""
        with self._lock:
            waits = turn in self._queues[id]
            if waits:
                self._queues[id].remove(turn)
        if not waits:
            self.give_back(id)
