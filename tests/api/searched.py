"""What records are searched by, out of their other rows: the sample's search tables, and an oracle's search.

The oracle folds texts in its own way, and looks for every word in every text.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

from projections.searching import search_key
from tests.projections.fold_oracle import words_of

Row: TypeAlias = dict[str, Any]

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "customer": ("name", "legal_name"),
    "opportunity": ("title",),
    "product": ("name", "code"),
    "staff_member": ("name", "email", "normalised_email"),
    "ticket": ("number", "subject"),
}
TABLES = {"opportunity": "opportunities", **{kind: f"{kind}s" for kind in COLUMNS if kind != "opportunity"}}
QUESTIONS = ("zoe", "ZOË 1", "är", "R", "李", "a", "x" * 12, "xx", "𝄞", "quote line", "2", "3 a", "e\u0301!", "", " ")


def search_rows(rows: Mapping[str, list[Row]], kind: str) -> list[Row]:
    """The rows that projections would have made."""
    found: list[Row] = []
    for record in rows[TABLES[kind]]:
        for at, text in enumerate(texts_of(rows, kind, record, search_key)):
            if text:
                found.append({f"{kind}_id": record["id"], "what": "text", "which": str(at), "text": text})
    return found


def is_found(rows: Mapping[str, list[Row]], table: str, record: Row, search: str) -> bool:
    """Whether every word stands in one of the record's texts."""
    kind = next(kind for kind, of in TABLES.items() if of == table)
    texts = [*texts_of(rows, kind, record, words_of)]
    return all(any(word in text for text in texts) for word in words_of(search).split())


def texts_of(
    rows: Mapping[str, list[Row]], kind: str, record: Row, folded: Callable[[str | None], str]
) -> Iterator[str]:
    """The texts that a record is found by."""
    for column in COLUMNS[kind]:
        yield folded(None if record[column] is None else str(record[column]))
    for row in rows[f"{kind}_external_ids"]:
        if row[f"{kind}_id"] == record["id"]:
            yield folded(row["external_id"])
    for row in rows["customer_contact_points"] if kind == "customer" else ():
        if row["customer_id"] == record["id"] and row["kind"] in ("email", "phone"):
            for text in (row["value"], row["normalised"]):
                yield folded(text).replace(" ", "") if row["kind"] == "phone" else folded(text)
