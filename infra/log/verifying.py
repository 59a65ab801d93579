"""Recomputes the log from the book, and says what is not as it was signed, and where.

Whoever can rewrite the database can rewrite the stored tree with it, but sign nothing: a checkpoint of which somebody
else keeps a copy shows that the book is another one.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import StrEnum
from time import monotonic
from typing import Any, NamedTuple

from psycopg import Connection

from infra.log.checkpoint import verified
from infra.log.leaf import Leaf, leaves, unplaced
from infra.log.note import NoteError, Verifier
from infra.log.store import Kept, split
from infra.log.tree import Frontier, Subtree

MOST_FINDINGS = 100
"""Of each fault, so that none hides the others."""
STEP = 1_000
"""Entries between two reports of progress."""


class Fault(StrEnum):
    """What is wrong."""

    ALTERED = "altered"
    """An entry is not the one whose hash stands in the tree."""
    MISSING = "missing"
    """An entry is not there."""
    UNEXPECTED = "unexpected"
    """An entry stands where none may."""
    TABLE = "table"
    """A table is not the one that the migrations make: one reader may see of it what another does not."""
    TREE = "tree"
    """The stored tree is not the book's."""
    CHECKPOINT = "checkpoint"
    """A checkpoint is not the book's, or nobody known has signed it."""


class Finding(NamedTuple):
    fault: Fault
    position: int | None
    """Of the first entry that is concerned, where that can be told."""
    words: str


class Verdict(NamedTuple):
    """What was found."""

    entries: int
    checkpoints: int
    """That are signed and the book's, those kept elsewhere included."""
    covered: int
    """The last entry that one of them covers."""
    findings: list[Finding]
    more: int
    """Findings beyond those."""
    seconds: float

    @property
    def holds(self) -> bool:
        return not self.findings


class _Claim(NamedTuple):
    """A checkpoint to compare with the book."""

    size: int
    root: bytes
    elsewhere: bool


def verify(
    book: Connection[Any],
    log: Connection[Any],
    verifiers: Iterable[Verifier],
    elsewhere: Sequence[str] = (),
    advance: Callable[[int], None] = lambda _: None,
) -> Verdict:
    """Recompute everything. `elsewhere`: checkpoints that were kept in another place.

    Two connections, in autocommit mode: the entries are streamed from one, the log from the other. The log is looked at
    first, so that the book holds all that it speaks of.
    """
    began = monotonic()
    with log.transaction():
        log.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        check = _Check(log, [*verifiers], elsewhere)
        entries = unplaced(book)
        check.unplaced(entries)
        for leaf in leaves(book):
            check.entry(leaf)
            entries += 1
            if entries % STEP == 0:
                advance(STEP)
        check.end()
    advance(entries % STEP)
    return Verdict(entries, check.checkpoints, check.covered, check.findings, check.more, round(monotonic() - began, 3))


class _Check:
    """The book's tree, as far as it was read, beside what is stored and signed of it."""

    def __init__(self, log: Connection[Any], verifiers: Sequence[Verifier], elsewhere: Sequence[str]) -> None:
        self.findings, self.more, self._faults = list[Finding](), 0, Counter[Fault]()
        self.checkpoints = self.covered = self._vouched = 0
        self._tree, self._next = Frontier(), 1
        self._hashed = self._bad = 0
        """The last entry that the stored tree has a hash of, and the last one that has another."""
        self._stored_to = 0
        """The last hash of the stored tree that was read."""
        self._whole, self._parted = True, False
        """No entry was missing so far; a stored checkpoint had another root."""
        self._claims = self._read(log, verifiers, elsewhere)
        """Those that were not compared yet."""
        self._subtrees = {
            (level, nth): bytes(digest)
            for level, nth, digest in log.execute("SELECT level, index, hash FROM daybook_log.subtrees", binary=True)
        }
        self._leaves = self._stored(log)
        self._leaf = next(self._leaves, None)
        self._reach(0)

    def unplaced(self, many: int) -> None:
        """Take the entries that stand at no position."""
        if many:
            which = "An entry stands" if many == 1 else f"{many} entries stand"
            self._find(Fault.UNEXPECTED, None, f"{which} at no position (NULL), where none may.")

    def entry(self, leaf: Leaf) -> None:
        """Take the next entry."""
        position = leaf.position
        if position != self._next:
            if position < self._next:
                self._find(Fault.UNEXPECTED, position, f"An entry stands at {position}, where none or another may.")
                return
            self._missing(position - 1)
        self._next = position + 1
        while self._leaf is not None and self._leaf.position < position:
            self._leaf = next(self._leaves, None)
        if self._leaf is not None and self._leaf.position == position:
            if self._leaf.digest != leaf.digest:
                self._bad = position
                self._find(Fault.ALTERED, position, f"Entry {position} is not the one whose hash stands in the tree.")
            self._leaf = next(self._leaves, None)
            self._hashed = position
        elif position <= self._logged and self._hashed == position - 1:  # told once for all that follow
            self._find(Fault.TREE, position, f"The stored tree has no hash of entry {position}.")
        if self._whole:
            for subtree in self._tree.add(leaf.digest):
                self._subtree(subtree)
            self._reach(position)

    def end(self) -> None:
        """The book has ended."""
        last = max([self._logged, *(leaf.position for leaf in self._rest()), *(claim.size for claim in self._claims)])
        if last >= self._next:
            self._missing(last)
        self._reach(last)
        if self._stored_to > self._logged:  # both are stored at once
            self._find(
                Fault.CHECKPOINT,
                self._logged + 1,
                f"The stored tree goes on to entry {self._stored_to}, and no checkpoint beyond {self._logged}:"
                " what was signed over it is gone.",
            )
        for level, nth in [*self._subtrees] if self._whole else ():
            self._find(Fault.TREE, None, f"The tree holds a hash {nth} of level {level}, which the book has none of.")

    def _missing(self, last: int) -> None:
        first, self._whole = self._next, False
        which = f"Entry {first} is" if first == last else f"Entries {first} to {last} are"
        self._find(Fault.MISSING, first, f"{which} missing.")

    def _subtree(self, subtree: Subtree) -> None:
        level, nth, digest = subtree
        first, last = (nth << level) + 1, (nth + 1) << level
        stored = self._subtrees.pop((level, nth), None)
        if stored is None:
            if last <= self._logged:
                self._find(Fault.TREE, first, f"The stored tree has no hash over the entries {first} to {last}.")
        elif stored != digest and self._bad < first:
            self._find(Fault.TREE, first, f"The stored hash over the entries {first} to {last} is another one.")

    def _reach(self, size: int) -> None:
        while self._claims and self._claims[0].size <= size:
            self._compare(self._claims.popleft())

    def _compare(self, claim: _Claim) -> None:
        """Compare a checkpoint with the tree at its size."""
        reached = self._whole and self._tree.size == claim.size
        if reached and self._tree.root() == claim.root:
            self.checkpoints += 1
            self.covered = claim.size
            self._vouched = claim.size if claim.elsewhere else self._vouched
            return
        # What is stored says nothing against what was kept elsewhere: it may all be made anew.
        first = (self._vouched if claim.elsewhere else self.covered) + 1
        if claim.elsewhere or not self._parted:
            where = "that was kept elsewhere " if claim.elsewhere else ""
            self._find(
                Fault.CHECKPOINT,
                first,
                f"The checkpoint {where}over {claim.size} entries is not this book's: since it was signed, something"
                f" was altered from entry {first} on.",
            )
        self._parted = self._parted or not claim.elsewhere

    def _read(self, log: Connection[Any], verifiers: Sequence[Verifier], elsewhere: Sequence[str]) -> deque[_Claim]:
        """The checkpoints that are signed, by size; what is wrong with the others is found."""
        self._logged = 0
        claims = [claim for note in elsewhere if (claim := self._signed(note, verifiers, None)) is not None]
        for row in log.execute("SELECT size, note FROM daybook_log.checkpoints ORDER BY size"):
            kept = Kept(*row)
            self._logged = max(self._logged, kept.size)
            if (claim := self._signed(kept.note, verifiers, kept.size)) is not None:
                claims.append(claim)
        return deque(sorted(claims, key=lambda claim: (claim.size, not claim.elsewhere)))

    def _signed(self, note: str, verifiers: Sequence[Verifier], size: int | None) -> _Claim | None:
        which = "that was kept elsewhere" if size is None else f"over {size} entries"
        try:
            found = verified(note, verifiers)
        except NoteError as error:
            self._find(Fault.CHECKPOINT, size, f"The checkpoint {which} can't be believed: {error}.")
            return None
        if size is not None and found.size != size:
            self._find(Fault.CHECKPOINT, size, f"The checkpoint {which} speaks of {found.size}.")
            return None
        return _Claim(found.size, found.root, elsewhere=size is None)

    def _stored(self, log: Connection[Any]) -> Iterator[Leaf]:
        """The stored leaves, by position; where a row does not follow on the one before, that is found."""
        following = 1
        with log.cursor("stored_leaves", binary=True) as rows:
            rows.itersize = 64
            rows.execute("SELECT first, hashes FROM daybook_log.leaves ORDER BY first")
            for first, hashes in rows:
                if first != following:
                    self._find(Fault.TREE, following, f"The stored hashes do not follow on at entry {following}.")
                for position, digest in enumerate(split(hashes), start=first):
                    yield Leaf(position, digest)
                    following = position + 1
                self._stored_to = max(self._stored_to, following - 1)

    def _rest(self) -> Iterator[Leaf]:
        if self._leaf is not None:
            yield self._leaf
        yield from self._leaves

    def _find(self, fault: Fault, position: int | None, words: str) -> None:
        self._faults[fault] += 1
        if self._faults[fault] <= MOST_FINDINGS:
            self.findings.append(Finding(fault, position, words))
        else:
            self.more += 1
