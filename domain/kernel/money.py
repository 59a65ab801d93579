"""Money: an amount is a Decimal beside its currency, rounded half-even to the currency's minor units (ISO 4217)."""

from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal

from domain.kernel.fields import AMOUNT, NumberOutOfRange
from domain.kernel.rules import Path

_TWO = (
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY "
    "COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS "
    "INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR "
    "MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD "
    "SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UZS VED VES WST XCD XCG YER ZAR ZMW ZWG"
)
_NONE = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_THREE = "BHD IQD JOD KWD LYD OMR TND"

MINOR_UNITS: dict[str, int] = {
    **dict.fromkeys(_TWO.split(), 2),
    **dict.fromkeys(_NONE.split(), 0),
    **dict.fromkeys(_THREE.split(), 3),
}
"""Decimals of each active currency (ISO 4217, list one, without funds codes and metals)."""


def rounded(amount: Decimal, currency: str) -> Decimal:
    """The amount in the currency's minor units, half-even."""
    return amount.quantize(_minor_unit(currency), ROUND_HALF_EVEN)


def out_of_range(price: Decimal | None, currency: str | None, path: Path) -> NumberOutOfRange | None:
    """The rule against a price or revenue that is within its bounds as it was given, and rounded no more."""
    if price is None or currency is None or rounded(price, currency) <= AMOUNT.most:
        return None
    most = AMOUNT.most.quantize(_minor_unit(currency), ROUND_DOWN)  # AMOUNT's own would be rounded beyond itself
    return NumberOutOfRange(path=path, least="0", most=str(most))


def _minor_unit(currency: str) -> Decimal:
    return Decimal(1).scaleb(-MINOR_UNITS[currency])
