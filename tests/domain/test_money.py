"""Rounding to a currency's minor units, and which currencies there are."""

from decimal import Decimal

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from domain.kernel import AMOUNT, MINOR_UNITS, rounded


@pytest.mark.parametrize(
    ("amount", "currency", "expected"),
    [
        ("0.005", "CHF", "0.00"),
        ("0.015", "CHF", "0.02"),
        ("0.025", "CHF", "0.02"),
        ("0.0251", "CHF", "0.03"),
        ("-0.015", "CHF", "-0.02"),
        ("-0.025", "CHF", "-0.02"),
        ("5", "CHF", "5.00"),
        ("0.5", "JPY", "0"),
        ("1.5", "JPY", "2"),
        ("2.5", "JPY", "2"),
        ("1234", "JPY", "1234"),
        ("0.0005", "KWD", "0.000"),
        ("0.0015", "KWD", "0.002"),
        ("7.1", "KWD", "7.100"),
        ("999999999999.999", "KWD", "999999999999.999"),
        ("999999999999.995", "CHF", "1000000000000.00"),
    ],
)
def test_half_goes_to_the_even_neighbour(amount: str, currency: str, expected: str) -> None:
    assert str(rounded(Decimal(amount), currency)) == expected


def test_currencies_have_the_minor_units_of_iso_4217() -> None:
    assert {code: MINOR_UNITS[code] for code in ("CHF", "EUR", "USD", "JPY", "KRW", "KWD", "BHD")} == {
        "CHF": 2,
        "EUR": 2,
        "USD": 2,
        "JPY": 0,
        "KRW": 0,
        "KWD": 3,
        "BHD": 3,
    }
    assert all(len(code) == 3 and code.isascii() and code.isupper() for code in MINOR_UNITS)
    assert not MINOR_UNITS.keys() & {"DEM", "XAU", "XXX", "BTC", "CHW", "HRK"}, "neither gone, nor metals, nor funds"


@for_all(st.decimals(AMOUNT.least, AMOUNT.most, places=6), st.sampled_from(sorted(MINOR_UNITS)))
def test_rounding_moves_by_half_a_unit_at_most_and_once(amount: Decimal, currency: str) -> None:
    found, unit = rounded(amount, currency), Decimal(1).scaleb(-MINOR_UNITS[currency])
    assert abs(found - amount) <= unit / 2
    assert found % unit == 0
    assert rounded(found, currency) == found
    if abs(found - amount) == unit / 2:
        assert found / unit % 2 == 0
