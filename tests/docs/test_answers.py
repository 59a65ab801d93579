"""The yardstick of the documents' tests: a changed answer is noticed, one that differs from book to book is not."""

import pytest

from tests.docs.answers import differences, lines_differ

ID, OTHER_ID = "cus_01h455vb4pex5vsknk084sn02q", "cus_7zzzzzzzzzzzzzzzzzzzzzzzzz"


@pytest.mark.parametrize(
    ("shown", "given"),
    [
        ({"id": ID, "at": "2026-03-31T09:30:00.000000Z"}, {"id": OTHER_ID, "at": "2027-01-01T00:00:00.000001Z"}),
        ({"position": "12", "version": "…"}, {"position": "4711", "version": 3}),
        (["a", "…"], ["a", "b", "c"]),
    ],
)
def test_what_differs_from_book_to_book_may(shown: object, given: object) -> None:
    assert list(differences(shown, given)) == []


@pytest.mark.parametrize(
    ("shown", "given"),
    [
        ({"name": "Ada"}, {"name": "Bea"}),
        ({"id": ID}, {"id": OTHER_ID.replace("cus", "opp")}),
        ({"id": ID}, {"id": None}),
        ({"name": "Ada"}, {"name": "Ada", "more": 1}),
        ({"name": "Ada", "more": 1}, {"name": "Ada"}),
        (["a"], ["a", "b"]),
        (["a", "b", "…"], ["a"]),
        ({"version": 1}, {"version": 2}),
    ],
)
def test_everything_else_may_not(shown: object, given: object) -> None:
    assert list(differences(shown, given)) != []


def test_lines_come_in_their_order() -> None:
    assert list(lines_differ("one\n…\nthr…\n", "one\ntwo\nthree\n")) == []
    assert list(lines_differ("two\none\n", "one\ntwo\n")) != []
    assert list(lines_differ("four\n", "one\n")) != []
