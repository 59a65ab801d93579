"""The company that keeps this book."""

from datetime import datetime

import strawberry

from api.reading.declarations import column, rows_of
from api.reading.relay import Node
from api.scalars import CurrencyCode, Position
from api.types.parts import History, history, position, recorded_at, version
from domain.catalogue import catalogue
from projections import company as tables


@rows_of(tables.COMPANY, prefix=catalogue.prefixes["company"])
@strawberry.type(description="The company that keeps this book: there is one.")
class Company(Node):
    name: str = column("name", "What it is called.")
    time_zone: str = column("time_zone", "Its time zone: when a day and a month begin, by the IANA name.")
    currency: CurrencyCode = column("currency", "The currency that it reports in.")
    language: str = column("language", "The language that it works in, as a BCP 47 tag.")
    phone_region: str = column("phone_region", "The country of telephone numbers without a country code.")
    fiscal_year_start: int = column("fiscal_year_start", "The month in which its fiscal year begins, 1 to 12.")
    created_at: datetime = column("created_at", "When the book began.")
    changed_at: datetime = column("changed_at", "When something last happened to it.")
    version: int = version()
    position: Position = position()
    recorded_at: datetime = recorded_at()
    history: History = history()
