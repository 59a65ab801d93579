"""Import: rows become commands, once; changed rows become changes; what can't be entered says why."""

import csv
import os
import resource
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from time import process_time
from typing import Any
from unicodedata import normalize
from uuid import UUID, uuid4

import pytest

from api.composition import Parts
from api.importing.finding import SCOPES
from api.importing.mapping import MappingError, read_mapping
from api.importing.outcomes import Summary
from api.replay import NobodyCalledThat, record_called, replay
from domain.access import unlimited
from domain.catalogue import catalogue
from domain.customer import Customer
from domain.kernel import Claim
from domain.kernel.recorded import Context
from domain.opportunity import Opportunity, OpportunityStatus
from domain.steps import blocking
from infra.reservations import Reservations
from tests.api.filled import asked, entries, imported, opened
from tests.databases import forget_receipts

CUSTOMERS = """
kind = "customers"
external_id = "id"
[corrections.trade]
technolgy = "technology"
"n/a" = ""

[[step]]
do = "register"
[step.fields]
kind = { constant = "organisation" }
name = "name"
parent = { column = "mother", find = "customer" }
contact_points = [
    { kind = { constant = "email" }, value = "mail" },
    { kind = { constant = "phone" }, value = "phone" },
]

[[step]]
do = "classify"
fields = { scheme = { constant = "industry" }, value = "trade" }

[[step]]
do = "addTag"
when = { vip = ["yes", "Yes"] }
fields = { tag = { constant = "vip" } }
"""
HEADER = "id,name,mother,mail,phone,trade,vip"

DEALS = """
kind = "opportunities"
external_id = ["office", "number"]

[[pipeline]]
name = "Old pipeline"
currency = "EUR"
stages = [{ name = "First", probability = 20 }, { name = "Last", probability = 80 }]

[[step]]
do = "open"
occurred_at = "began"
[step.fields]
title = { text = ["{what} for {who}", "{what}"] }
customer = { column = "who", find = "customer" }
pipeline = { constant = "Old pipeline", find = "pipeline" }
stage = { column = "stage", values = { W = "Last", "" = "First" }, find = "stage", of = "Old pipeline" }
amount = { column = "thousands", times = 1000 }
expected_close = { column = "due", date = "%d.%m.%Y" }

[[step]]
do = "win"
when = { stage = "W" }
occurred_at = "ended"
fields = { closed_on = "ended" }
"""
DEAL_HEADER = "office,number,what,who,stage,thousands,due,began,ended"


class Files:
    """Writes files and imports them into a book."""

    def __init__(self, parts: Parts, folder: Path) -> None:
        self.parts, self._folder = parts, folder

    def customers(self, *rows: str, mapping: str = CUSTOMERS, source: str = "old") -> Summary:
        return self._imported("customers", HEADER, rows, mapping, source)

    def deals(self, *rows: str) -> Summary:
        return self._imported("opportunities", DEAL_HEADER, rows, DEALS, "old")

    def staff(self, *rows: str) -> Summary:
        return self._imported("staff", "id,name,mail", rows, STAFF, "old")

    def _imported(self, kind: str, header: str, rows: tuple[str, ...], mapping: str, source: str) -> Summary:
        file, map_file = self._folder / f"{kind}.csv", self._folder / f"{kind}.toml"
        file.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
        map_file.write_text(mapping, encoding="utf-8")
        return imported(self.parts, kind, file, map_file, source)

    def rejected(self, kind: str = "customers") -> list[dict[str, str]]:
        with (self._folder / f"{kind}.rejected.csv").open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def customer(self, external_id: str) -> Customer:
        state = self.parts.daybook.fold(self.holder("customer", external_id)).state
        assert isinstance(state, Customer)
        return state

    def deal(self, external_id: str) -> Opportunity:
        state = self.parts.daybook.fold(self.holder("opportunity", external_id)).state
        assert isinstance(state, Opportunity)
        return state

    def do(self, kind: str, external_id: str, verb: str, /, *, actor: str = "administrator", **raw: object) -> None:
        """What a person does meanwhile."""
        context = Context(actor=actor, idempotency_key=uuid4(), correlation_id=uuid4())
        id = self.holder(kind, external_id)
        blocking(
            self.parts.commands.submit(
                catalogue.deciders[kind], verb, {"id": id, **raw}, context, unlimited(context.actor)
            )
        )

    def forget_receipts(self) -> None:
        forget_receipts(self.parts.conninfo)

    def holder(self, kind: str, external_id: str) -> UUID:
        claim = Claim(SCOPES[kind], f"old:{external_id}")
        return Reservations(self.parts.pool, self.parts.vault).holders([claim])[claim]


@pytest.fixture
def files(database: str, tmp_path: Path) -> Iterator[Files]:
    with opened(database, tmp_path) as parts:
        yield Files(parts, tmp_path)


def test_a_row_becomes_its_commands(files: Files) -> None:
    summary = files.customers("7,Käserei Alp,,post@alp.example.com,+41 44 668 18 00,technolgy,Yes", "8,Berg,,,,n/a,no")
    assert (summary.rows, summary.created, summary.rejected_file) == (2, 2, None)
    alp, berg = files.customer("7"), files.customer("8")
    assert alp.name == "Käserei Alp"
    assert [point.normalised for point in alp.contact_points.values()] == ["post@alp.example.com", "+41446681800"]
    assert (alp.classes, alp.tags) == ({"industry": ("industry", "technology")}, {"vip": "vip"})
    assert (berg.contact_points, berg.classes, berg.tags) == ({}, {}, {}), "what is empty is left out"
    actors = asked(files.parts, "SELECT DISTINCT actor FROM daybook.events")
    assert actors == [("import:old",)]


def test_a_deal_has_its_own_dates_and_names_its_records(files: Files) -> None:
    files.customers("7,Alp,,,,,")
    summary = files.deals("Bern,1,Scale,7,W,1.5,24.12.2025,2025-01-10,2025-02-20", "Bern,2,Probe,,,,,,")
    assert (summary.created, summary.rejected) == (2, 0)
    won, prospect = files.deal("Bern / 1"), files.deal("Bern / 2")
    assert (won.status, won.title, won.amount) == (OpportunityStatus.WON, "Scale for 7", Decimal(1500))
    assert (str(won.closed_on), str(won.expected_close)) == ("2025-02-20", "2025-12-24")
    assert (prospect.title, prospect.customer, prospect.amount) == ("Probe", None, None)
    at = asked(
        files.parts,
        "SELECT topic, occurred_at::date::text FROM daybook.events WHERE occurred_at < now() - interval '1 day'"
        " ORDER BY position",
    )
    assert at == [("OpportunityOpened", "2025-01-10"), ("OpportunityWon", "2025-02-20")]


def test_the_same_file_again_changes_nothing_whatever_people_did_meanwhile(files: Files) -> None:
    rows = ("7,Alp,,post@alp.example.com,,retail,yes", "8,Berg,7,,,,")
    files.customers(*rows)
    before = entries(files.parts)
    again = files.customers(*rows)
    assert (again.created, again.changed, again.unchanged) == (0, 0, 2)
    files.do("customer", "7", "rename", name="Alp und Tal")
    files.do("customer", "7", "removeTag", tag="vip")
    files.forget_receipts()
    assert files.customers(*rows).unchanged == 2
    assert entries(files.parts) == before + 2
    assert files.customer("7").name == "Alp und Tal"


def test_a_row_of_somebody_who_was_erased_since_does_not_bring_them_back(files: Files) -> None:
    alp, berg = "7,Alp,,post@alp.example.com,,retail,", "8,Berg,,,,,"
    deal = "Bern,1,Scale,7,,2,,,"
    files.customers("7,Alpina,,,,,", berg)
    files.customers(alp, berg)
    files.deals(deal)
    files.do("customer", "7", "requestErasure", actor="somebody", ground="person_asked", reason="A letter")
    assert files.customers(alp, berg).unchanged == 2
    files.do("customer", "7", "erasePersonalData", reason="Checked")
    again = files.customers(alp, berg)
    assert (again.erased, again.created, again.unchanged) == (1, 0, 1), "approved is the point of no return"
    assert len(files.parts.erasures.carry_out_approved()) == 1
    for _ in range(2):
        before = entries(files.parts)
        for row in (alp, "7,Alpina,,,,,"):
            again = files.customers(row, berg)
            assert (again.erased, again.created, again.changed, again.unchanged) == (1, 0, 0, 1)
        again = files.deals(deal)
        assert (again.erased, again.created, again.rejected) == (1, 0, 0)
        assert entries(files.parts) == before
        files.forget_receipts()
    assert (files.customers("7,Alp neu,,,,,").created, files.customer("7").name) == (1, "Alp neu"), (
        "says something else"
    )
    assert files.customers(alp).erased == 0, "now it is known again: a change"


def test_what_has_lost_its_external_id_since_is_not_created_once_more(files: Files) -> None:
    files.customers("7,Alp,,,,,")
    files.do("customer", "7", "removeExternalId", source="old", external_id="7")
    before = entries(files.parts)
    again = files.customers("7,Alp,,,,,")
    assert (again.created, again.unchanged, entries(files.parts)) == (0, 1, before)
    files.forget_receipts()
    again = files.customers("7,Alp,,,,,", "8,Berg,,,,,")
    assert (again.created, again.unchanged, entries(files.parts)) == (1, 1, before + 1)


def test_a_row_of_before_is_known_too_when_the_external_id_is_lost(files: Files) -> None:
    for name in ("Alp", "Alp AG"):
        files.customers(f"7,{name},,,,,")
    files.do("customer", "7", "removeExternalId", source="old", external_id="7")
    files.forget_receipts()
    before = entries(files.parts)
    again = files.customers("7,Alp,,,,,")
    assert (again.created, again.unchanged, entries(files.parts)) == (0, 1, before)


def test_two_rows_of_one_record_in_turns_do_not_overwrite_each_other(files: Files) -> None:
    files.customers("7,Alp,,,,,")
    files.do("customer", "7", "addExternalId", source="old", external_id="8")
    files.do("customer", "8", "removeExternalId", source="old", external_id="7")
    files.customers("8,Alp AG,,,,,")
    files.do("customer", "8", "rename", name="Alp und Tal")
    for _ in range(2):
        files.forget_receipts()
        before = entries(files.parts)
        for rows in (("7,Alp,,,,,", "8,Alp AG,,,,,"), ("8,Alp AG,,,,,", "7,Alp,,,,,")):
            again = files.customers(*rows)
            assert (again.created, again.changed, again.unchanged) == (0, 0, 2)
        assert entries(files.parts) == before
    assert files.customer("8").name == "Alp und Tal"


def test_a_row_that_was_never_complete_does_not_begin_its_record_again(files: Files) -> None:
    incomplete = f"9,Zug,,,,{'x' * 5000},"
    assert files.customers(incomplete).rejected == 1
    record = files.holder("customer", "9")
    files.do("customer", "9", "removeExternalId", source="old", external_id="9")
    files.forget_receipts()
    before = entries(files.parts)
    assert files.customers(incomplete).rejected == 1
    assert entries(files.parts) == before
    assert files.parts.daybook.fold(record).version == 2


def test_a_changed_row_issues_what_differs(files: Files) -> None:
    files.customers("7,Alp,,post@alp.example.com,,retail,yes")
    before = entries(files.parts)
    summary = files.customers("7,Alp,,kontor@alp.example.com,,finance,yes")
    assert summary.changed == 1
    topics = asked(files.parts, "SELECT topic FROM daybook.events WHERE position > %s ORDER BY position", before)
    assert topics == [("CustomerContactPointAdded",), ("CustomerClassified",)]
    assert files.customers("7,Alp,,kontor@alp.example.com,,finance,yes").unchanged == 1


def test_a_changed_row_that_comes_again_leaves_what_people_did_since(files: Files) -> None:
    files.customers("7,Alp,,,,retail,")
    files.customers("7,Alp AG,,,,retail,")
    files.do("customer", "7", "classify", scheme="industry", value="energy")
    files.forget_receipts()
    assert files.customers("7,Alp AG,,,,retail,").unchanged == 1
    assert files.customer("7").classes["industry"] == ("industry", "energy")


def test_a_row_that_returns_to_what_it_was_is_a_change_again(files: Files) -> None:
    for name in ("Alp", "Berg", "Alp", "Berg"):
        files.customers(f"7,{name},,,,,")
        assert files.customer("7").name == name
    renamed = asked(files.parts, "SELECT count(*)::int FROM daybook.events WHERE topic = 'CustomerRenamed'")
    assert renamed == [(3,)]


def test_an_empty_cell_takes_nothing_away(files: Files) -> None:
    files.customers("7,Alp,,post@alp.example.com,,retail,yes")
    assert files.customers("7,Alp,,,,,").unchanged == 1
    assert files.customer("7").contact_points


def test_a_deal_that_closes_in_a_later_file_closes_on_its_day(files: Files) -> None:
    files.deals("Bern,1,Scale,,,2,,2025-01-10,")
    files.customers("7,Alp,,,,,")
    summary = files.deals("Bern,1,Scale,7,W,2,,2025-01-10,2025-02-20")
    assert (summary.changed, summary.rejected) == (1, 0)
    deal = files.deal("Bern / 1")
    assert (deal.status, str(deal.closed_on), deal.customer is not None) == (OpportunityStatus.WON, "2025-02-20", True)
    # The customer was assigned today, so the win can't be entered as of February; its own field has the day.
    assert files.deals("Bern,1,Scale,7,W,2,,2025-01-10,2025-02-20").unchanged == 1


def test_a_row_may_refer_to_a_row_below_it(files: Files) -> None:
    summary = files.customers("3,Enkelin,2,,,,", "2,Tochter,1,,,,", "1,Mutter,,,,,", "4,Waise,99,,,,")
    assert (summary.created, summary.rejected) == (3, 1)
    assert files.customer("3").parent is not None
    [orphan] = files.rejected()
    assert (orphan["id"], orphan["row"]) == ("4", "4")
    assert orphan["reasons"] == "there is no customer with the id '99' of old"


def test_an_external_id_stands_for_one_row(files: Files) -> None:
    summary = files.customers("7,Alp,,,,,", "7,Alp,,,,,", "7,Berg,,,,,")
    assert (summary.created, summary.repeated, summary.rejected) == (1, 1, 1)
    assert files.customer("7").name == "Alp"
    assert "row 1 says something else" in files.rejected()[0]["reasons"]
    before = entries(files.parts)
    files.customers("7,Alp,,,,,", "7,Alp,,,,,", "7,Berg,,,,,")
    assert entries(files.parts) == before


def test_a_letter_and_its_accent_may_come_apart(files: Files, tmp_path: Path) -> None:
    """As some systems write files: what is read is one text, however its letters are put together."""

    def apart(text: str) -> str:
        return normalize("NFD", text)

    vip = CUSTOMERS.replace('vip = ["yes"', 'vip = ["été"').replace("technolgy", '"Technikbüro"')
    rows = "Öl,Öl AG,,,,,", "Zug,Züge,Öl,,,Technikbüro,été"
    summary = files.customers(*map(apart, rows), mapping=vip)
    assert (summary.created, summary.rejected) == (2, 0)
    assert files.customer("Zug").classes == {"industry": ("industry", "technology")}
    assert files.customer("Zug").tags == {"vip": "vip"}
    before = entries(files.parts)
    for mapping in (vip, apart(vip)):
        for again in (rows, tuple(map(apart, rows))):
            assert files.customers(*again, mapping=mapping).unchanged == 2
    assert entries(files.parts) == before
    assert files.customers("Ö,Ö,,,,,", apart("Ö,O,,,,,")).rejected == 1, "one external id"
    assert files.customers(apart("Öl,Öle AG,,,,,")).changed == 1
    assert files.customer("Öl").name == "Öle AG"
    assert list(replay(files.parts, apart("old:Öl")))


def test_a_file_that_can_be_read_once_only_is_not_begun(files: Files, tmp_path: Path) -> None:
    pipe, mapping = tmp_path / "rows.csv", tmp_path / "mapping.toml"
    os.mkfifo(pipe)
    mapping.write_text(CUSTOMERS, "utf-8")
    with pytest.raises(MappingError, match="is read twice"):
        imported(files.parts, "customers", pipe, mapping)


def test_rejected_rows_stand_in_a_file_that_can_be_corrected_and_imported(files: Files, tmp_path: Path) -> None:
    summary = files.customers(
        "1,Alp,,no address,044 668,,", "2,,,,,,", ",Namenlos,,,,,", "3,Gut,,,,,", "4,Zu kurz", '5,"Zei\nle",,,,,'
    )
    assert (summary.created, summary.rejected) == (1, 5)
    reasons = {row["row"]: row["reasons"] for row in files.rejected()}
    assert "contact_points.0.value: This is no e-mail address" in reasons["1"]
    assert "contact_points.1.value: The telephone number needs its country code" in reasons["1"]
    assert "name: A customer needs a name or at least one contact point" in reasons["2"]
    assert reasons["3"] == "column id: the external id is empty"
    assert reasons["5"] == "the row has 2 cells, and the header has 7"
    assert "control character U+000A" in reasons["6"]
    corrected = (tmp_path / "customers.rejected.csv").read_text("utf-8").splitlines()[:2]
    again = tmp_path / "again.csv"
    again.write_text("\n".join(corrected).replace("no address", "a@alp.example.com").replace("044 668", ""), "utf-8")
    assert imported(files.parts, "customers", again, tmp_path / "customers.toml").created == 1
    assert files.customers("3,Gut,,,,,").rejected_file is None
    assert not (tmp_path / "customers.rejected.csv").exists(), "nothing was rejected this time"


@pytest.mark.parametrize(
    ("encoding", "delimiter"), [("latin-1", ","), ("cp1252", ";"), ("utf-16", "\t"), ("utf-8", "|"), ("UTF_8", ",")]
)
def test_rejected_rows_stand_in_a_file_laid_out_like_the_one_that_they_come_from(
    files: Files, tmp_path: Path, encoding: str, delimiter: str
) -> None:
    layout = f"encoding = {encoding!r}\ndelimiter = {delimiter!r}\n".replace("'", '"')
    mapping = tmp_path / "mapping.toml"
    mapping.write_text(layout + CUSTOMERS.replace('external_id = "id"', 'external_id = "Id. n°"'), "utf-8")
    file, again = tmp_path / "rows.csv", tmp_path / "rows.rejected.csv"
    first = ["Id. n°", *HEADER.split(",")[1:]], ["1", 'J"ü"rg|Zoë;\n,', "", "no address", "", "", ""]
    with file.open("w", encoding=encoding, newline="") as out:
        csv.writer(out, delimiter=delimiter).writerows(first)
    assert imported(files.parts, "customers", file, mapping).rejected == 1

    def corrected(file: Path, wrong: str, right: str) -> Summary:
        content = file.read_bytes().decode(encoding)
        assert "Id. n°" in content, "the header comes back too"
        file.write_bytes(content.replace(wrong, right).encode(encoding))
        return imported(files.parts, "customers", file, mapping)

    assert corrected(again, "no address", "again none").rejected == 1, (
        "its remarks are its own, not a column of the file"
    )
    assert corrected(tmp_path / "rows.rejected.rejected.csv", "again none", "").rejected == 1
    last = tmp_path / "rows.rejected.rejected.rejected.csv"
    assert corrected(last, ";\n,", ";,").created == 1
    assert files.customer("1").name == 'J"ü"rg|Zoë;,'


def test_reasons_that_the_encoding_lacks_letters_for_are_written_all_the_same(files: Files, tmp_path: Path) -> None:
    file, mapping = tmp_path / "rows.csv", tmp_path / "mapping.toml"
    mapping.write_text(
        'encoding = "ascii"'
        + CUSTOMERS.replace("technolgy", '"1" = "日本"\ntechnolgy').replace('mother", find', 'trade", find'),
        "utf-8",
    )
    file.write_text(f"{HEADER}\n1,Alp,,,,1,\n", "ascii")
    assert imported(files.parts, "customers", file, mapping).rejected == 1
    lines = (tmp_path / "rows.rejected.csv").read_text("ascii").splitlines()
    assert list(csv.reader(lines))[1] == [
        "1",
        "Alp",
        "",
        "",
        "",
        "1",
        "",
        "1",
        "there is no customer with the id '??' of old",
        "old by mapping.toml",
    ]


def test_no_cell_of_a_rejected_row_is_lost_and_no_column_hides_another(files: Files, tmp_path: Path) -> None:
    file, mapping = tmp_path / "rows.csv", tmp_path / "mapping.toml"
    mapping.write_text(CUSTOMERS.replace('"id"', '"row"'), "utf-8")
    file.write_text(f"{HEADER.replace('id', 'row')}\n1,Alp,AG,,,,,\n", "utf-8")
    assert imported(files.parts, "customers", file, mapping).rejected == 1
    again = tmp_path / "rows.rejected.csv"
    assert again.read_text("utf-8").splitlines() == [
        "row,name,mother,mail,phone,trade,vip,rejected row,reasons,import",
        '1,Alp,AG,,,,,,1,"the row has 8 cells, and the header has 7",old by mapping.toml',
    ]
    assert imported(files.parts, "customers", again, mapping).rejected == 1, "it is for a person to correct"


def test_no_import_takes_away_what_another_has_rejected_of_the_same_file(files: Files, tmp_path: Path) -> None:
    file, first, second = tmp_path / "rows.csv", tmp_path / "ids.toml", tmp_path / "träde.toml"
    first.write_text('encoding = "ascii"' + CUSTOMERS, "utf-8")
    second.write_text('encoding = "ascii"' + CUSTOMERS.replace('= "id"', '= "trade"'), "utf-8")

    def run(mapping: Path, source: str, *rows: str) -> str | None:
        file.write_text("\n".join([HEADER, *rows]) + "\n", "ascii")
        where = imported(files.parts, "customers", file, mapping, source).rejected_file
        return where and Path(where).name

    def there() -> dict[str, list[tuple[str, str]]]:
        read = {one.name: csv.DictReader(one.read_text("ascii").splitlines()) for one in tmp_path.glob("*.rejected*")}
        return {name: [(row["name"], row["import"]) for row in rows] for name, rows in read.items()}

    assert run(first, "old", ",Alp,,,,,") == "rows.rejected.csv"
    assert run(second, "old", "1,Bea,,,,,") == "rows.rejected-2.csv"
    assert run(first, "n\u00e9w", ",Cid,,,,,") == "rows.rejected-3.csv"
    ids, trades, new = ("Alp", "old by ids.toml"), ("Bea", "old by tr?de.toml"), ("Cid", "n?w by ids.toml")
    assert there() == {
        "rows.rejected.csv": [ids], "rows.rejected-2.csv": [trades], "rows.rejected-3.csv": [new],
    }  # fmt: skip
    # Each shows its own last run, and is gone where that has rejected nothing.
    assert run(first, "old", "7,Alp,,,,,") is None
    assert run(second, "old", "1,Bo,,,,,") == "rows.rejected-2.csv"
    assert there() == {"rows.rejected-2.csv": [("Bo", trades[1])], "rows.rejected-3.csv": [new]}
    assert run(first, "n\u00e9w", "7,Alp,,,,,") is None
    assert run(second, "old", "1,Bo,,,,x,") is None
    assert there() == {}


def test_columns_that_nobody_reads_may_have_any_name(files: Files, tmp_path: Path) -> None:
    file, mapping = tmp_path / "rows.csv", tmp_path / "mapping.toml"
    mapping.write_text(CUSTOMERS, "utf-8")
    file.write_text(
        f"{HEADER},remark,remark,,\n1,Alp,,,,,,a,b,c,\n", "utf-8"
    )  # spreadsheets leave empty columns at the end
    assert imported(files.parts, "customers", file, mapping).created == 1


def test_a_rejected_row_has_every_reason(files: Files) -> None:
    files.customers("7,Alp,,,,,")
    due = "column due: this is no date as %d.%m.%Y writes them"
    began, ended = (f"column {one}: this is no date such as 2026-03-31" for one in ("began", "ended"))
    number, nobody = "column thousands: this is no number", "there is no customer with the id '99' of old"
    stage = "there is no stage called 'X'"
    closed = "win, closed_on: This is not a date such as 2026-03-31."
    long = "open, title: The text has 307 characters; at most 200 are allowed."
    rows = {
        "Bern,1,Scale,99,X,lots,tomorrow,today,": [number, due, began, nobody, stage],
        "Bern,2,Scale,99,W,lots,,,soon": [number, ended, nobody, closed],
        ",,Scale,99,X,,,,": [f"column {one}: the external id is empty" for one in ("office", "number")]
        + [nobody, stage],
        f"Bern,3,{'x' * 300},99,X,,tomorrow,,": [due, nobody, stage, long],
        "Bern,4,Scale,99,X,,,,": [nobody, stage],
        "Bern,5,Scale,7,,5,tomorrow,,": [due],
        "Bern,6,,,,9999999999999,,,": [
            "open, title: A value is needed here; none was given.",
            "open, amount: The number must lie between -999999999999.999 and 999999999999.999.",
        ],
    }
    summary = files.deals(*rows)
    assert (summary.created, summary.rejected) == (0, len(rows))
    found = [row["reasons"] for row in files.rejected("opportunities")]
    assert found == ["; ".join(reasons) for reasons in rows.values()]


def test_a_row_with_faults_still_waits_for_the_row_that_it_refers_to(files: Files) -> None:
    counted = CUSTOMERS + '[[step]]\ndo = "changeDetails"\nfields = { employees = { column = "vip", times = 1 } }\n'
    summary = files.customers("1,Tochter,3,no address,,,many", "2,Enkel,1,,,,few", "3,Mutter,,,,,", mapping=counted)
    assert (summary.created, summary.rejected) == (1, 2)
    daughter, grandchild = (row["reasons"] for row in files.rejected())
    no_number = "column vip: this is no number; "
    assert daughter == (
        f"{no_number}register, contact_points.0.value: This is no e-mail address; one looks like ada@example.com."
    )
    assert grandchild == f"{no_number}there is no customer with the id '1' of old"


def test_a_local_telephone_number_is_one_of_the_companys_country_from_the_first_row_on(
    database: str, tmp_path: Path
) -> None:
    with opened(database, tmp_path) as parts:
        context = Context(actor="administrator", idempotency_key=uuid4(), correlation_id=uuid4())
        named = {"name": "Own", "time_zone": "UTC", "currency": "CHF", "language": "de", "phone_region": "CH"}
        company = catalogue.deciders["company"]
        blocking(parts.commands.submit(company, "define", named, context, unlimited(context.actor)))
        Files(parts, tmp_path).customers("7,Alp,,,,,")
    with opened(database, tmp_path) as parts:  # a process that has looked nothing up yet
        files = Files(parts, tmp_path)
        assert files.customers("7,Alp,,,044 668 18 00,,").changed == 1
        assert [point.normalised for point in files.customer("7").contact_points.values()] == ["+41446681800"]


@pytest.mark.parametrize("name", ["Alp", ""])
def test_a_place_where_rejected_rows_cant_be_written_is_told(files: Files, tmp_path: Path, name: str) -> None:
    (tmp_path / "customers.rejected.csv").mkdir()
    with pytest.raises(MappingError, match=r"The rejected rows have no file\. .*customers\.rejected\.csv "):
        files.customers(f"7,{name},,,,,")
    assert not (tmp_path / ".customers.rejected.csv.new").exists()


def test_rejected_rows_are_there_whole_or_those_of_the_import_before_are(files: Files, tmp_path: Path) -> None:
    """The disk is full in the midst of them, as far as this process can tell."""
    assert files.customers("7,,,,,,").rejected == 1
    before = (tmp_path / "customers.rejected.csv").read_bytes()
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8_192, usual[1]))
    try:
        with pytest.raises(MappingError, match="can't be written: File too large"):
            files.customers(*(f"{id},,,,,," for id in range(200)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    assert (tmp_path / "customers.rejected.csv").read_bytes() == before
    assert not (tmp_path / ".customers.rejected.csv.new").exists()
    assert files.customers(*(f"{id},,,,,," for id in range(200))).rejected == 200
    assert len(files.rejected()) == 200


def test_what_was_refused_in_the_middle_of_a_row_goes_on_when_it_is_imported_again(files: Files) -> None:
    missing = "Bern,1,Scale,,W,2,,2025-01-10,2025-02-20"
    assert files.deals(missing).rejected == 1
    assert files.rejected("opportunities")[0]["reasons"].startswith("win: A deal is won with a customer")
    assert files.deal("Bern / 1").status is OpportunityStatus.OPEN
    assert files.deals(missing).rejected == 1
    assert asked(files.parts, "SELECT count(*)::int FROM daybook.events WHERE topic = 'OpportunityOpened'") == [(1,)]
    files.customers("7,Alp,,,,,")
    files.do("opportunity", "Bern / 1", "assignCustomer", customer=files.holder("customer", "7"))
    assert files.deals(missing).changed == 1
    assert files.deal("Bern / 1").status is OpportunityStatus.WON


NO_NUMBERS = (
    "1_000",
    "\u0661\u0662",
    "\uff11\uff12",
    "0x10",
    "NaN",
    "Infinity",
    "1 000",
    "1,5",
    "1e99999999999999999999",
)
NO_DAYS = ("20240505", "2024-W05-1", "2024-5-5", "202\u0664-05-05", "2024-02-30", "yesterday")


def test_numbers_and_days_are_written_as_everywhere_else(files: Files, tmp_path: Path) -> None:
    numbers = [f'Bern,{at},Probe,,,"{number}",,,' for at, number in enumerate(NO_NUMBERS)]
    no_moments = (*NO_DAYS, "2024-05-05T", "2024-05-05T10", "2024-05-05T10:00+25:00", "20240505T100000")
    days = [f"Chur,{at},Probe,,,,,{day}," for at, day in enumerate(no_moments)]
    own = [f"Thun,{at},Probe,,,,{day},," for at, day in enumerate(("2\u0664.12.2025", "2025-12-24", "31.11.2025"))]
    summary = files.deals(*numbers, "Bern,99,Probe,,,1e999999,,,", *days, *own)
    assert (summary.created, summary.rejected) == (0, len(numbers) + 1 + len(days) + len(own))
    assert [row["reasons"] for row in files.rejected("opportunities")] == [
        *["column thousands: this is no number"] * len(numbers),
        "column thousands: this number is too large",
        *["column began: this is no date such as 2026-03-31"] * len(days),
        *["column due: this is no date as %d.%m.%Y writes them"] * len(own),
    ]
    file, mapping = tmp_path / "rows.csv", tmp_path / "rows.toml"
    mapping.write_text(
        DEALS.replace('"thousands", times = 1000', '"thousands"').replace(', date = "%d.%m.%Y"', ""), "utf-8"
    )
    numbers = [f'Bern,{at},Probe,,,"{number}",,,' for at, number in enumerate(NO_NUMBERS)]
    days = [f"Chur,{at},Probe,,,,{day},," for at, day in enumerate(NO_DAYS)]
    file.write_text("\n".join([DEAL_HEADER, *numbers, *days]), "utf-8")
    assert imported(files.parts, "opportunities", file, mapping).created == 0
    with (tmp_path / "rows.rejected.csv").open(encoding="utf-8", newline="") as rejected:
        reasons = [row["reasons"] for row in csv.DictReader(rejected)]
    assert all(one.startswith("open, amount: ") for one in reasons[: len(numbers)])
    assert all(one.startswith("open, expected_close: ") for one in reasons[len(numbers) :])


def test_a_moment_has_its_own_offset_or_the_mappings_time_zone(files: Files, tmp_path: Path) -> None:
    written = {
        "2024-05-05": "2024-05-04 22:00:00",
        "2024-05-05 10:30": "2024-05-05 08:30:00",
        "2024-05-05T10:30:15.5": "2024-05-05 08:30:15.5",
        "2024-05-05T10:30:00Z": "2024-05-05 10:30:00",
        "2024-05-05T10:30:00.000+0000": "2024-05-05 10:30:00",
        "2024-05-05 10:30:00-03:00": "2024-05-05 13:30:00",
    }
    file, mapping = tmp_path / "rows.csv", tmp_path / "rows.toml"
    mapping.write_text('time_zone = "Europe/Zurich"' + DEALS, "utf-8")
    rows = [f"Bern,{at},Probe,,,,,{moment}," for at, moment in enumerate(written)]
    file.write_text("\n".join([DEAL_HEADER, *rows]), "utf-8")
    assert imported(files.parts, "opportunities", file, mapping).created == len(written)
    found = asked(
        files.parts,
        "SELECT (occurred_at AT TIME ZONE 'UTC')::text FROM daybook.events WHERE topic = 'OpportunityOpened'",
    )
    assert sorted(at for (at,) in found) == sorted(written.values())


def test_a_source_is_one_however_its_name_is_written(files: Files) -> None:
    assert files.customers("7,Alp,,,,,", source="altbüro").created == 1
    before = entries(files.parts)
    for source in (normalize("NFD", "altbüro"), " altbüro "):
        assert files.customers("7,Alp,,,,,", source=source).unchanged == 1
    assert entries(files.parts) == before
    assert files.customers("7,Alpen,,,,,", source=normalize("NFD", "altbüro")).changed == 1


HOSTILE = "a" + "\u0301\u0323" * 60_000
"""Composing it takes minutes: the marks are sorted by insertion."""


@pytest.fixture
def moment() -> Iterator[None]:
    """A few seconds of the processor at most, where one hostile text that is composed takes minutes."""
    began = process_time()
    yield
    assert process_time() - began < 30


@pytest.mark.usefixtures("moment")
def test_a_text_that_takes_minutes_to_compose_is_rejected(files: Files) -> None:
    summary = files.customers(f"1,{HOSTILE},,,,,", f"{HOSTILE},Bea,,,,,{HOSTILE}", "2,Cid,,,,,", f"2,Cid,{HOSTILE},,,,")
    assert (summary.created, summary.rejected) == (1, 3)
    why = "More than 30 combining marks, such as accents, stand in a row in the text."
    assert [row["reasons"] for row in files.rejected()] == [
        f"column name: {why}",
        f"column id: {why}; column vip: {why}",
        f"column mother: {why}",
    ]
    assert files.rejected()[0]["name"] == HOSTILE


@pytest.mark.usefixtures("moment")
def test_no_text_that_nobody_asked_for_is_composed(files: Files, tmp_path: Path) -> None:
    file, mapping = tmp_path / "rows.csv", tmp_path / "rows.toml"
    mapping.write_text('kind = "teams"\nexternal_id = "id"\n[[step]]\ndo = "create"\nfields.name = "name"\n', "utf-8")
    file.write_text(f"id,name,{HOSTILE}\n1,Sales,{HOSTILE}\n", "utf-8")
    assert imported(files.parts, "teams", file, mapping).created == 1
    with pytest.raises(MappingError, match="of at most 60 characters"):
        imported(files.parts, "teams", file, mapping, source=HOSTILE)
    with pytest.raises(NobodyCalledThat):
        record_called(files.parts, f"old:{HOSTILE}")
    mapping.write_text(f'kind = "{HOSTILE}"', "utf-8")
    with pytest.raises(MappingError, match="More than 30 combining marks"):
        read_mapping(mapping, "team")


def test_two_sources_may_use_the_same_ids(files: Files) -> None:
    files.customers("7,Alp,,,,,")
    assert files.customers("7,Anders,,,,,", source="new").created == 1
    assert files.customer("7").name == "Alp"


ORGANISATION = 'do = "register"\nfields = { kind = { constant = "organisation" }, name = "name" }\n'
REVENUE = """[[step]]
do = "changeDetails"
fields = { legal_name = "name", annual_revenue = "more", revenue_currency = { constant = "EUR" } }
"""


@pytest.mark.parametrize(
    ("kind", "step", "first", "second", "topics"),
    [
        (
            "products",
            'do = "add"\n[step.fields]\nname = "name"\nprice = "more"\ncurrency = { constant = "EUR" }',
            "1,Scale,10",
            "1,Scale,12",
            ["ProductPriceChanged"],
        ),
        (
            "products",
            'do = "add"\n[step.fields]\nname = "name"\ncode = "more"',
            "1,Scale,S-1",
            "1,Scale,S-2",
            ["ProductCodeChanged"],
        ),
        (
            "products",
            'do = "add"\n[step.fields]\nname = "name"\nprice = "more"\ncurrency = { constant = "EUR" }',
            "1,Scale,",
            "1,Scales,",
            ["ProductRenamed"],
        ),
        (
            "customers",
            f"{ORGANISATION}{REVENUE}",
            "1,Alp,",
            "1,Alpen,",
            ["CustomerRenamed", "CustomerDetailsChanged"],
        ),
        (
            "staff",
            'do = "register"\n[step.fields]\nname = "name"\nemail = "more"',
            "1,Ada,ada@example.com",
            "1,Ada L.,ada@example.com",
            ["StaffMemberRenamed"],
        ),
        ("teams", 'do = "create"\n[step.fields]\nname = "name"', "1,Sales,", "1,Sale,", ["TeamRenamed"]),
        (
            "tickets",
            'do = "open"\n[step.fields]\nchannel = { constant = "email" }\nsubject = "name"\npriority = "more"',
            "1,Broken,low",
            "1,Broken again,high",
            ["TicketSubjectChanged", "TicketPriorityChanged"],
        ),
        (
            "tickets",
            'do = "open"\n[step.fields]\nchannel = { constant = "email" }\nsubject = "name"\nkind = "more"',
            "1,Broken,question",
            "1,Broken,incident",
            ["TicketKindChanged"],
        ),
    ],
)
def test_every_kind_is_entered_and_changed(
    files: Files, tmp_path: Path, kind: str, step: str, first: str, second: str, topics: list[str]
) -> None:
    file, mapping = tmp_path / "rows.csv", tmp_path / "rows.toml"
    mapping.write_text(f'kind = "{kind}"\nexternal_id = "id"\n[[step]]\n{step}\n', "utf-8")
    file.write_text(f"id,name,more\n{first}\n", "utf-8")
    assert imported(files.parts, kind, file, mapping).created == 1
    before = entries(files.parts)
    file.write_text(f"id,name,more\n{second}\n", "utf-8")
    assert imported(files.parts, kind, file, mapping).changed == 1
    changed = asked(files.parts, "SELECT topic FROM daybook.events WHERE position > %s ORDER BY position", before)
    assert [topic for (topic,) in changed] == topics


@pytest.mark.parametrize(
    ("mapping", "says"),
    [
        ("kind = ", "Invalid value"),
        (CUSTOMERS.replace("external_id", "externalid"), "unknown field `externalid`"),
        (CUSTOMERS.replace('do = "register"', 'do = "enrol"'), "the first step must be 'register'"),
        (CUSTOMERS.replace('do = "addTag"', 'do = "tag"'), "customer has no command 'tag'; it has addContactPoint"),
        (CUSTOMERS.replace("tag = {", "label = {"), "step 3 (addTag): there is no field 'label'; there are tag"),
        (
            CUSTOMERS.replace('scheme = { constant = "industry" }, ', ""),
            "step 2 (classify): the field scheme is needed",
        ),
        (CUSTOMERS.replace('find = "customer"', 'find = "client"'), "find takes one of customer, opportunity"),
        (CUSTOMERS.replace('{ constant = "organisation" }', "5"), "name a column, or write { constant = 5 }"),
        (CUSTOMERS.replace('"customers"', '"products"'), "it is for 'products', and its kind must be 'customers'"),
        ('time_zone = "Mars/Base"' + CUSTOMERS, "no IANA time zone"),
        (CUSTOMERS.replace('"mail"', '{ column = "mail", times = nan }'), "times takes a number"),
        *(
            (CUSTOMERS.replace('"mail"', f'{{ column = "mail", date = "{form}" }}'), "a format of whole days such as")
            for form in ("%Q", "", "%d.%m.", "%d %d %m %Y", "%", "%H:%M")
        ),
        ("x = " + "9" * 5000 + CUSTOMERS, "can't be used"),
        ("x = " + "[" * 5000 + CUSTOMERS, "can't be used"),
        *(
            (f"delimiter = {delimiter}{CUSTOMERS}", "must be one character, neither a quote nor a line's end")
            for delimiter in ('";;"', '""', '"\\n"', '"\\r"', "'\"'", '"\\u0000"')
        ),
        ('encoding = "ascii"\ndelimiter = "¦"' + CUSTOMERS, "'¦', which can't be written in ascii"),
        *(
            (f'encoding = "{encoding}"{CUSTOMERS}', "which is no encoding of text files")
            for encoding in (
                "rot13",
                "base64",
                "hex",
                "zip",
                "idna",
                "punycode",
                "undefined",
                "unicode_escape",
                "utf-7",
                "no-such",
                "",
                "a\\u0000b",
                "mbcs",
            )
        ),
        (CUSTOMERS.replace('do = "register"', 'do = "register"\nwhen = { vip = "yes" }'), "so it has no 'when'"),
        *(
            (f'{CUSTOMERS}\n[[step]]\ndo = "{verb}"\n', f"step 4 ({verb}): a person gives this command")
            for verb in ("requestErasure", "erasePersonalData", "placeLegalHold", "liftLegalHold", "unmask")
        ),
    ],
)
def test_a_mapping_that_cant_be_used_says_where_and_why(mapping: str, says: str, tmp_path: Path) -> None:
    file = tmp_path / "mapping.toml"
    file.write_text(mapping, "utf-8")
    with pytest.raises(MappingError) as error:
        read_mapping(file, "customer")
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"id,name\n1,Alp\n", "The mapping names mail, mother, phone, trade, vip, but the columns of"),
        (b"", "is empty"),
        (f"id,{HEADER}".encode(), "several columns called id."),
        ("id,name\n1,Käse\n".encode("latin-1"), "can't be read as utf-8"),
        (b'id,name\n1,"Alp\n', "is no CSV file: unexpected end of data, in the row that begins in line 2;"),
        (b'id,name\n1,"Alp\nhof"\n\n2,"A"b\n', "expected after '\"', in the row that begins in line 5;"),
        (b"id,name\n" + b"x" * 200_000, "field limit (131072), in the row that begins in line 2;"),
    ],
)
def test_a_file_that_cant_be_read_says_why(files: Files, tmp_path: Path, content: bytes, says: str) -> None:
    file, mapping = tmp_path / "rows.csv", tmp_path / "mapping.toml"
    file.write_bytes(content)
    mapping.write_text(CUSTOMERS, "utf-8")
    with pytest.raises(MappingError) as error:
        imported(files.parts, "customers", file, mapping)
    assert says in str(error.value)
    assert entries(files.parts) == 0


def test_a_file_without_the_byte_order_mark_that_its_encoding_needs_says_so(files: Files, tmp_path: Path) -> None:
    file, mapping = tmp_path / "rows.csv", tmp_path / "mapping.toml"
    file.write_bytes(HEADER.encode("utf-16-le"))
    mapping.write_text('encoding = "utf-16"' + CUSTOMERS, "utf-8")
    with pytest.raises(MappingError, match=r"can't be read as utf-16: .*[Ss]tream does not start with BOM"):
        imported(files.parts, "customers", file, mapping)


STAFF = """
kind = "staff"
external_id = "id"
[[step]]
do = "register"
fields = { name = "name", email = "mail" }
"""


def test_a_colleague_s_new_address_is_a_change_for_the_reason_that_the_file_has_it(files: Files) -> None:
    """Whoever changes by what somebody comes in says why; the file is the reason."""
    files.staff("7,Rosa,rosa@acme.example")
    summary = files.staff("7,Rosa,rosa.luz@acme.example")
    assert (summary.changed, summary.rejected) == (1, 0)
    id = files.holder("staff_member", "7")
    stored: Any = files.parts.store.select_events(id)
    changed = files.parts.mapper.recorded([one.entry for one in stored])[-1]
    assert (changed.name, changed.reason_given) == ("StaffMemberEmailChanged", "So it stands in old.")
