"""The tree as RFC 9162 defines it, recursively over lists of leaf hashes: slow, and apart from the code under test."""

from collections.abc import Sequence
from hashlib import sha256


def root(leaves: Sequence[bytes]) -> bytes:
    """MTH, section 2.1.1."""
    match len(leaves):
        case 0:
            return sha256(b"").digest()
        case 1:
            return leaves[0]
        case size:
            k = split(size)
            return sha256(b"\x01" + root(leaves[:k]) + root(leaves[k:])).digest()


def path(index: int, leaves: Sequence[bytes]) -> list[bytes]:
    """PATH, section 2.1.3.1."""
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if index < k:
        return [*path(index, leaves[:k]), root(leaves[k:])]
    return [*path(index - k, leaves[k:]), root(leaves[:k])]


def proof(former: int, leaves: Sequence[bytes], known: bool = True) -> list[bytes]:
    """PROOF and SUBPROOF, section 2.1.4.1."""
    if former == len(leaves):
        return [] if known else [root(leaves)]
    k = split(len(leaves))
    if former <= k:
        return [*proof(former, leaves[:k], known), root(leaves[k:])]
    return [*proof(former - k, leaves[k:], False), root(leaves[:k])]


def split(size: int) -> int:
    k = 1
    while k * 2 < size:
        k *= 2
    return k
