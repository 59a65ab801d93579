"""The log over the book: a Merkle tree of its entries, and checkpoints that are signed. It only looks at the book.

leaf.py says what of an entry is hashed, tree.py how hashes become one root, proofs.py what can be shown of it;
note.py and checkpoint.py how a root is signed. store.py keeps it all, checkpointer.py makes it grow, verifying.py
recomputes it; standing.py looks at the tables that all of it stands in. witness.py and cosignature.py are for
somebody else, who keeps checkpoints in another place.
"""
