"""The Merkle tree and its proofs: published vectors, and the definition of RFC 9162 written down apart."""

from collections.abc import Iterator, Sequence
from hashlib import sha256
from random import Random

import pytest

from infra.log.proofs import consistency, consistent, included, inclusion
from infra.log.tree import Frontier, Subtree, complete, leaf_hash
from tests.infra.log import naive

# The reference vectors of Certificate Transparency: eight entries, and the tree's head after each.
ENTRIES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
INCLUSION = {
    (0, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (5, 8): [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
}
CONSISTENCY = {
    (2, 5): [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ]
}
SIZES = [*range(1, 71), *Random(9162).sample(range(71, 1500), 6)]


class Tree:
    """Leaf hashes, and the complete subtrees over them, by the definition."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        self.leaves, self._nodes = leaves, dict[tuple[int, int], bytes]()

    @classmethod
    def random(cls, size: int) -> "Tree":
        random = Random(size)
        return cls([random.randbytes(32) for _ in range(size)])

    def node(self, level: int, nth: int) -> bytes:
        assert (nth + 1) << level <= len(self.leaves), "an incomplete subtree was asked for"
        if (level, nth) not in self._nodes:
            self._nodes[level, nth] = naive.root(self.leaves[nth << level : (nth + 1) << level])
        return self._nodes[level, nth]


def flipped(value: bytes, random: Random) -> bytes:
    bit = random.randrange(len(value) * 8)
    return (int.from_bytes(value, "big") ^ 1 << bit).to_bytes(len(value), "big")


def altered(proof: list[bytes], random: Random) -> Iterator[list[bytes]]:
    """The proof with one bit flipped in each of its hashes, with one hash less, and with one more."""
    for at, step in enumerate(proof):
        yield [*proof[:at], flipped(step, random), *proof[at + 1 :]]
        yield [*proof[:at], *proof[at + 1 :]]
    yield [*proof, random.randbytes(32)]
    yield [random.randbytes(32), *proof]


def asked_of(size: int) -> Sequence[int]:
    """All numbers below a small size, some below a large one."""
    return range(size) if size <= 70 else Random(size).sample(range(size), 8)


def test_the_reference_vectors() -> None:
    leaves = [leaf_hash(bytes.fromhex(entry)) for entry in ENTRIES]
    tree = Frontier()
    roots = [tree.root()]
    for leaf in leaves:
        tree.add(leaf)
        roots.append(tree.root())
    assert [one.hex() for one in roots] == ROOTS
    node = Tree(leaves).node
    assert {at: [step.hex() for step in inclusion(*at, node)] for at in INCLUSION} == INCLUSION
    assert {at: [step.hex() for step in consistency(*at, node)] for at in CONSISTENCY} == CONSISTENCY


def test_the_frontier_has_the_root_of_the_definition() -> None:
    largest = Tree.random(1500).leaves
    tree, kept = Frontier(), list[Subtree]()
    for size, leaf in enumerate(largest, start=1):
        kept += tree.add(leaf)
        if size in SIZES:
            assert tree.root() == naive.root(largest[:size])
            again = Frontier(size, [Tree(largest[:size]).node(level, nth) for level, nth in complete(size)])
            assert again.root() == tree.root()
    assert [(level, nth) for level, nth, _ in kept] == [(8, nth) for nth in range(5)]
    assert all(digest == naive.root(largest[nth * 256 : nth * 256 + 256]) for _, nth, digest in kept)


def test_subtrees_of_every_kept_level_are_given_out() -> None:
    tree, kept = Frontier(), list[Subtree]()
    for leaf in range(65_536):
        kept += tree.add(sha256(leaf.to_bytes(4, "big")).digest())
    assert len(kept) == 257
    assert kept[-1] == (16, 0, tree.root())


@pytest.mark.parametrize("size", SIZES)
def test_what_stands_in_the_tree_is_shown_and_nothing_else(size: int) -> None:
    tree, random = Tree.random(size), Random(size)
    root = naive.root(tree.leaves)
    for index in asked_of(size):
        leaf, proof = tree.leaves[index], inclusion(index, size, tree.node)
        assert proof == naive.path(index, tree.leaves)
        assert included(leaf, index, size, proof, root)
        assert not included(flipped(leaf, random), index, size, proof, root)
        assert not included(leaf, index, size, proof, flipped(root, random))
        assert not any(included(leaf, index, size, other, root) for other in altered(proof, random))
        others = {index ^ 1 << bit for bit in range(size.bit_length() + 1)} | {index - 1, index + size}
        assert not any(included(leaf, other, size, proof, root) for other in others)


@pytest.mark.parametrize("size", SIZES)
def test_a_tree_that_goes_on_is_shown_to_and_no_other(size: int) -> None:
    tree, random = Tree.random(size), Random(size)
    root = naive.root(tree.leaves)
    for former in [*asked_of(size), size]:
        before, proof = naive.root(tree.leaves[:former]), consistency(former, size, tree.node)
        assert proof == (naive.proof(former, tree.leaves) if former else [])
        assert consistent(former, before, size, root, proof)
        assert not any(consistent(former, before, size, root, other) for other in altered(proof, random))
        if former:
            assert not consistent(former, flipped(before, random), size, root, proof)
            assert not consistent(former, before, size, flipped(root, random), proof)
        if 0 < former < size:
            others = {former ^ 1 << bit for bit in range(size.bit_length())} - {0}
            assert not any(consistent(other, before, size, root, proof) for other in others)
