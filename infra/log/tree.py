"""The Merkle tree of RFC 6962 and RFC 9162, section 2.1, with SHA-256: hashes of leaves become one root."""

from collections.abc import Iterable
from hashlib import sha256
from typing import NamedTuple

KEPT = 8
"""Every so many levels the complete subtrees are kept: of 256 leaves, of 65,536, ..."""


def leaf_hash(leaf: bytes) -> bytes:
    return sha256(b"\x00" + leaf).digest()


def inner_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


class Subtree(NamedTuple):
    """A complete subtree of 2 ** level leaves, the nth from the left of these, from 0."""

    level: int
    nth: int
    digest: bytes


class Frontier:
    """A tree that grows at its right, remembered by its largest complete subtrees: one for each bit of its size."""

    def __init__(self, size: int = 0, subtrees: Iterable[bytes] = ()) -> None:
        """`subtrees`: the hashes of its largest complete subtrees, from the left, as `complete` names them."""
        self.size, self._subtrees = size, [*subtrees]

    def add(self, leaf: bytes) -> tuple[Subtree, ...]:
        """Add a leaf by its hash; the subtrees that are complete with it and that are kept."""
        nth, level, digest, completed = self.size, 0, leaf, tuple[Subtree, ...]()
        while nth & 1:
            digest = sha256(b"\x01" + self._subtrees.pop() + digest).digest()
            nth >>= 1
            level += 1
            if level % KEPT == 0:
                completed += (Subtree(level, nth, digest),)
        self._subtrees.append(digest)
        self.size += 1
        return completed

    def copy(self) -> "Frontier":
        return Frontier(self.size, self._subtrees)

    def root(self) -> bytes:
        """The root of the tree as it is now."""
        if not self._subtrees:
            return sha256().digest()
        digest = self._subtrees[-1]
        for left in self._subtrees[-2::-1]:
            digest = inner_hash(left, digest)
        return digest


def complete(size: int) -> Iterable[tuple[int, int]]:
    """Level and place of the largest complete subtrees of a tree, from the left."""
    for level in range(size.bit_length() - 1, -1, -1):
        if size >> level & 1:
            yield level, (size >> level) - 1
