"""What is let in to be composed: texts of any language, and none that takes time by the square of its length."""

import sys
from unicodedata import combining, normalize

import pytest

from domain.kernel import PROSE, Refused
from domain.kernel.composing import BECOME_MARKS, MOST_MARKS, composed, fault_of
from domain.kernel.fields import TextHasTooManyMarks, TextTooLong
from projections.searching import search_key
from projections.sorting import folded

LETTERS = [chr(point) for point in range(sys.maxunicode + 1)]

HINDI = "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता और समानता प्राप्त है। "
THAI = "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ ผู้ที่ "
VIETNAMESE = "Tất cả mọi người sinh ra đều được tự do và bình đẳng về nhân phẩm và quyền lợi. "
HEBREW = "בְּרֵאשִׁית בָּרָא אֱלֹהִים אֵת הַשָּׁמַיִם וְאֵת הָאָרֶץ "
TIBETAN = "བོད་ཀྱི་སྐད་ཡིག་ནི་ཧཱུཾ། "


@pytest.mark.parametrize("language", [HINDI, THAI, VIETNAMESE, HEBREW, TIBETAN, "ﾊﾟﾊﾟﾀﾞ"])
def test_the_longest_prose_of_any_language_is_composed(language: str) -> None:
    prose = (language * PROSE.longest)[: PROSE.longest]
    for spelled in (prose, normalize("NFD", prose)):
        assert composed(spelled, PROSE.longest) == normalize("NFC", prose)


@pytest.mark.parametrize("marks", ["\u0301", "\u0323\u0301", "\u0301\u0f73", "\u0344", "\uff9e\u0323", "\U0001d165"])
def test_marks_in_a_row_are_refused_beyond_unicode_s_own_limit(marks: str) -> None:
    row = (marks * MOST_MARKS)[:MOST_MARKS]
    assert fault_of(f"a{row}", 200) is fault_of(f"{row}a" * 9, 200) is None
    for text in (f"a{row}{marks[0]}", f"{row}{marks[0]}", f"{'x' * 99}{row}{marks[0]}x"):
        assert fault_of(text, 200, ("name",)) == TextHasTooManyMarks(path=("name",), most=30)
        with pytest.raises(Refused, match="More than 30 combining marks"):
            composed(text, 200)


def test_a_text_that_is_longer_than_any_spelling_is_refused_whatever_it_holds() -> None:
    assert fault_of("x" * 800, 200) is None
    assert fault_of("x" * 801, 200) == TextTooLong(length=801, longest=200)


def test_no_letter_brings_marks_in_a_row_but_those_that_are_counted() -> None:
    """Of a letter that is not counted, every form that we make begins anew; behind that, it has three marks at most."""
    forms = [
        (letter, form)
        for letter in LETTERS
        for form in (normalize("NFKD", letter), normalize("NFKD", letter.casefold()))
    ]
    assert {letter for letter, form in forms if combining(form[0]) and not combining(letter)} == BECOME_MARKS
    assert max(sum(map(bool, map(combining, form))) for _, form in forms) == 3


def test_what_an_older_version_let_in_is_still_folded() -> None:
    old = "a" + "\u0301" * 200 + "\u0323" * 200
    assert folded(old) == search_key(old) == "a"
