"""Tracing: which entry gave a field the value that it has, and what changed between two moments.

A record's entries are folded again, one by one (`projections/refolding.py`); `naming.py` says of a row that changed
which GraphQL fields it is, from what `api/types/` declares; `story.py` tells what became of them, `elements.py` finds
the list or the element that somebody means, and `erased.py` knows what an entry set whose values are gone.
"""
