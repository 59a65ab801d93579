"""What can be shown of a tree without showing the others' entries: RFC 9162, sections 2.1.3 and 2.1.4."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

from infra.log.tree import inner_hash

Node: TypeAlias = Callable[[int, int], bytes]
"""The hash of a complete subtree, by its level and its place from the left."""


def inclusion(index: int, size: int, node: Node) -> list[bytes]:
    """The proof that a leaf stands in the tree of this size, from the leaf's sibling upwards. 0 <= index < size."""
    first, proof = 0, list[bytes]()
    while size - first > 1:
        middle = first + _split(size - first)
        if index < middle:
            proof.append(_hash(node, middle, size))
            size = middle
        else:
            proof.append(_hash(node, first, middle))
            first = middle
    return proof[::-1]


def consistency(former: int, size: int, node: Node) -> list[bytes]:
    """The proof that the tree of this size begins with all that the former one had. 0 <= former <= size."""
    if former in (0, size):
        return []
    first, proof = 0, list[bytes]()
    while former != size:
        middle = first + _split(size - first)
        if former <= middle:
            proof.append(_hash(node, middle, size))
            size = middle
        else:
            proof.append(_hash(node, first, middle))
            first = middle
    if first > 0:  # else it is the former tree as a whole, whose root the verifier knows
        proof.append(_hash(node, first, size))
    return proof[::-1]


def included(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether the proof shows that the leaf with this hash stands at the index of the tree."""
    if not 0 <= index < size:
        return False
    at, last, digest = index, size - 1, leaf
    for step in proof:
        if last == 0:
            return False
        if at & 1 or at == last:
            digest = inner_hash(step, digest)
            while not at & 1 and at != 0:
                at, last = at >> 1, last >> 1
        else:
            digest = inner_hash(digest, step)
        at, last = at >> 1, last >> 1
    return last == 0 and digest == root


def consistent(former: int, former_root: bytes, size: int, root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether the proof shows that the tree begins with the former one. An empty tree begins every other."""
    if not 0 < former < size:
        return not proof and (former == 0 or (former == size and former_root == root))
    steps = [*proof] if former & (former - 1) else [former_root, *proof]
    if not steps:
        return False
    at, last = former - 1, size - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    before = after = steps[0]
    for step in steps[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            before, after = inner_hash(step, before), inner_hash(step, after)
            while not at & 1 and at != 0:
                at, last = at >> 1, last >> 1
        else:
            after = inner_hash(after, step)
        at, last = at >> 1, last >> 1
    return last == 0 and before == former_root and after == root


def _hash(node: Node, first: int, last: int) -> bytes:
    """The hash over the leaves from `first` to before `last`, where a proof needs one."""
    length = last - first
    if length & (length - 1) == 0:
        level = length.bit_length() - 1
        return node(level, first >> level)
    middle = first + _split(length)
    return inner_hash(_hash(node, first, middle), _hash(node, middle, last))


def _split(length: int) -> int:
    """The largest power of two below a length."""
    return 1 << (length - 1).bit_length() - 1
