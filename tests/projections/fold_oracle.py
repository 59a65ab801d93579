"""The oracle of the read models: plain dicts, folded from the book's entries by what `domain.md` says they mean.

It shares nothing with `projections/` but the names of tables and columns. Where an event repeats what follows from
others (a status, an amount, a probability), the oracle works it out, so that a wrong copy in an event is found.
"""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import date
from decimal import Decimal
from typing import Any, TypeAlias
from uuid import UUID

import msgspec

from domain.kernel import Withheld
from domain.kernel.recorded import Recorded

Row: TypeAlias = dict[str, Any]
Rows: TypeAlias = dict[str, dict[tuple[Any, ...], Row]]

PREFIXES = {"customer": "cus", "opportunity": "opp", "ticket": "tkt", "pipeline": "pip", "product": "prd",
            "queue": "que", "staff_member": "stf", "team": "tem", "company": "cmp",
            "role": "rol", "api_token": "tok"}  # fmt: skip
TABLES = {"customer": "customers", "opportunity": "opportunities", "ticket": "tickets", "pipeline": "pipelines",
          "product": "products", "queue": "queues", "staff_member": "staff_members", "team": "teams",
          "company": "company", "role": "roles", "api_token": "api_tokens"}  # fmt: skip
PERMISSIONS = (
    "read_customers", "register_customers", "write_customers", "write_contact_data", "write_tags", "write_consent",
    "assign_customers", "read_opportunities", "open_opportunities", "write_opportunities", "override_probability",
    "assign_opportunities", "read_tickets", "open_tickets", "work_tickets", "see_amounts", "see_personal_data",
    "read_book", "configure", "manage_staff", "manage_access",
    "unmask_personal_data", "request_erasure", "approve_erasure", "hold_data", "act_on_behalf",
)  # fmt: skip
RANKS = ("low", "normal", "high", "urgent")
DONE = ("solved", "closed")


def expected_rows(recorded: Iterable[Recorded[Any]]) -> Rows:
    """Table -> key -> row: what every read model must hold once these entries are posted. A column left out is NULL.

    The entries are the whole book, in its order: an id is written by what it was given to.
    """
    book = list(recorded)
    ledger = _Ledger(_public_ids(book))
    for entry in book:
        ledger.enter(entry)
    return {name: dict(rows) for name, rows in ledger.rows.items()}


def rows_after_each(recorded: Iterable[Recorded[Any]]) -> Iterator[tuple[Recorded[Any], Rows]]:
    """The same after each entry: one and the same object, which goes on growing."""
    book = list(recorded)
    ledger = _Ledger(_public_ids(book))
    for entry in book:
        ledger.enter(entry)
        yield entry, ledger.rows


def public(prefix: str, id: UUID) -> str:
    """The id as a TypeID: 130 bits, five at a time."""
    bits = f"{id.int:0130b}"
    return (
        prefix + "_" + "".join("0123456789abcdefghjkmnpqrstvwxyz"[int(bits[at : at + 5], 2)] for at in range(0, 130, 5))
    )


def _public_ids(book: list[Recorded[Any]]) -> dict[UUID, str]:
    """Every id in the book, as it is written outside: an aggregate's by its kind, a part's by what brought it."""
    found = {one.originator_id: public(PREFIXES[one.kind], one.originator_id) for one in book}
    for entry in book:
        said = entry.event
        match type(said).__name__:
            case "CustomerRegistered":
                parts = [("cpt", one.id) for one in seen(said.contact_points) or ()]
            case "CustomerContactPointAdded":
                parts = [("cpt", said.contact_point)]
            case "CustomerContactLinked":
                parts = [("lnk", said.link)]
            case "OpportunityOpened":
                parts = [("lin", one.line) for one in said.lines]
            case "OpportunityLineAdded":
                parts = [("lin", said.added.line)]
            case "PipelineDefined":
                parts = [("stg", one.stage) for one in said.stages]
            case "PipelineStageAdded":
                parts = [("stg", said.added.stage)]
            case "TicketOpened" | "TicketCustomerReplied" | "TicketAgentReplied":
                parts = [("msg", said.message)] if said.message else []
            case "CustomerUnmasked":
                parts = [("look", said.look)]
            case "CustomerPersonalDataExported":
                parts = [("exp", said.export)]
            case "CustomerNoteAdded" | "OpportunityNoteAdded" | "TicketNoteAdded":
                parts = [("note", said.note)]
            case _:
                parts = []
        found |= {id: public(prefix, id) for prefix, id in parts}
    return found


def seen(value: Any) -> Any:
    """A personal value as anybody may see it: nothing, where it is withheld."""
    return None if isinstance(value, Withheld) else value


def key_of(text: str | None) -> str:
    """How a name sorts: letters without case, accents and ligatures."""
    plain = ""
    for letter in unicodedata.normalize("NFKD", (text or "").casefold()):
        if "COMBINING" not in unicodedata.name(letter, "") or not 0x300 <= ord(letter) < 0x370:
            plain += {"ø": "o", "ł": "l", "đ": "d", "æ": "ae", "œ": "oe", "þ": "th", "ð": "d"}.get(letter, letter)
    return unicodedata.normalize("NFC", plain)


def words_of(text: str | None) -> str:
    """How a text is searched: its words by their key, without what is no letter, digit, mark or sign."""
    words = "".join(
        letter
        if letter.isspace() or letter.isalnum() or unicodedata.category(letter) in ("Mn", "Mc", "Me", "So")
        else ""
        for letter in key_of(text)
    )
    return " ".join(words.split())


class _Ledger:
    def __init__(self, names: dict[UUID, str]) -> None:
        self.rows: Rows = defaultdict(dict)
        self.names = names
        self.deals: dict[str, dict[str, Any]] = {}
        """What the domain derives a deal's amount and probability from."""

    def id(self, id: UUID | None) -> str | None:
        """The public id; one that nobody was seen to bring is of a contact point, for only those are brought sealed."""
        return None if id is None else self.names.get(id) or public("cpt", id)

    def enter(self, entry: Recorded[Any]) -> None:
        own, at = self.names[entry.originator_id], entry.occurred_at
        rows = self.rows[TABLES[entry.kind]]
        begins = "opened_at" if entry.kind in ("opportunity", "ticket") else "created_at"
        row = rows.setdefault((own,), {"id": own, begins: at})
        if entry.kind in ("customer", "opportunity", "ticket"):
            row.setdefault("registered_position", entry.position)
        getattr(self, entry.kind)(type(entry.event).__name__, entry.event, own, row, entry)
        if entry.name not in ("CustomerUnmasked", "CustomerPersonalDataExported"):  # to be seen is no change
            row["last_touched_at" if entry.kind == "opportunity" else "changed_at"] = at
        row.update(version=entry.originator_version, position=entry.position, recorded_at=entry.recorded_at)
        self.timeline(entry, own)

    def external_id(self, entry: Recorded[Any], own: str, one: Any, place: int = 0) -> None:
        row = {f"{entry.kind}_id": own, "source": one.source, "external_id": one.id}
        if entry.kind != "team":
            self.found_by(entry, own, f"external id {one.source}", one.id, which=one.id)
        self.rows[f"{entry.kind}_external_ids"][own, one.source, one.id] = {**row, "ordinal": nth(entry, place)}

    def external_ids(self, entry: Recorded[Any], own: str) -> None:
        for place, one in enumerate(seen(entry.event.external_ids) or ()):
            self.external_id(entry, own, one, place)

    def note(self, table: str, entry: Recorded[Any], **row: Any) -> None:
        id = public("note", entry.event.note)
        said = {"text": seen(entry.event.text), "author": entry.actor, "written_at": entry.occurred_at}
        self.rows[table][id,] = {"id": id, "ordinal": nth(entry), **said, **row}

    def named(self, row: Row, name: str, value: Any) -> None:
        row[name], row[f"{name}_key"] = seen(value), key_of(seen(value))

    def found_by(self, entry: Recorded[Any], own: str, what: str, *texts: Any, which: str = "") -> None:
        """What a record is searched by, in place of what stood there; texts that are the same count once."""
        rows = self.rows[f"{entry.kind}_search"]
        rows.pop((own, what, which), None)
        if words := [*dict.fromkeys(word for text in texts if (word := words_of(seen(text))))]:
            row = {f"{entry.kind}_id": own, "what": what, "which": which, "text": " ".join(words)}
            rows[own, what, which] = row

    def customer(self, what: str, said: Any, own: str, row: Row, entry: Recorded[Any]) -> None:
        at = entry.occurred_at
        match what.removeprefix("Customer"):
            case "Registered":
                self.named(row, "name", said.name)
                self.found_by(entry, own, "name", said.name)
                row |= {"kind": said.kind.value, "status": "active", "relationship": said.relationship.value}
                row |= {"owner_id": self.id(said.owner), "team_id": self.id(said.team)}
                row |= {"parent_id": self.id(said.parent), "source": said.source, "language": said.language}
                for place, one in enumerate(seen(said.contact_points) or ()):
                    self.contact_point(entry, own, one.id, one, one.primary, place)
                self.external_ids(entry, own)
            case "Renamed":
                self.named(row, "name", said.new)
                self.found_by(entry, own, "name", said.new)
            case "DetailsChanged":
                for name, change in {**said.changes, **(seen(said.personal_changes) or {})}.items():
                    made: Any = {"birthday": date.fromisoformat, "annual_revenue": Decimal}.get(name, lambda new: new)
                    row[name] = None if change.new is None else made(change.new)
                    if name == "legal_name":
                        self.found_by(entry, own, name, change.new)
            case "ContactPointAdded":
                self.prefer(None, said.demoted)
                self.contact_point(entry, own, said.contact_point, said, said.primary)
            case "ContactPointRemoved":
                self.rows["customer_contact_points"].pop((self.id(said.contact_point),), None)
                self.rows["customer_search"].pop((own, "contact_point", self.id(said.contact_point)), None)
                self.prefer(said.promoted, None)
            case "ContactPointMadePrimary":
                self.prefer(said.contact_point, said.demoted)
            case "Classified":
                key = {"customer_id": own, "scheme_key": said.scheme.casefold()}
                if said.new is None:
                    del self.rows["customer_classifications"][tuple(key.values())]
                else:
                    scheme = {**key, "scheme": said.scheme, "value": said.new, "classified_at": at}
                    self.rows["customer_classifications"][tuple(key.values())] = scheme
            case "TagAdded" | "TagRemoved" if seen(said.tag) is None:
                pass
            case "TagAdded":
                key = {"customer_id": own, "tag_key": said.tag.casefold()}
                self.rows["customer_tags"][tuple(key.values())] = {**key, "tag": said.tag, "added_at": at}
            case "TagRemoved":
                del self.rows["customer_tags"][own, said.tag.casefold()]
            case "OwnerAssigned":
                row |= {"owner_id": self.id(said.owner), "team_id": self.id(said.team)}
            case "ParentAssigned":
                row["parent_id"] = self.id(said.parent)
            case "ExternalIdAdded" | "ExternalIdRemoved" if seen(said.external_id) is None:
                pass
            case "ExternalIdAdded":
                self.external_id(entry, own, said.external_id)
            case "ExternalIdRemoved":
                del self.rows["customer_external_ids"][own, said.external_id.source, said.external_id.id]
                self.found_by(entry, own, f"external id {said.external_id.source}", which=said.external_id.id)
            case "ContactLinked":
                people = {"organisation_id": own, "person_id": self.id(said.person), "role": seen(said.role)}
                when = {"since": said.since, "until": said.until, "ordinal": nth(entry), "linked_at": at}
                self.rows["customer_links"][self.id(said.link),] = {"id": self.id(said.link), **people, **when}
            case "ContactUnlinked":
                if said.until is None:
                    del self.rows["customer_links"][self.id(said.link),]
                else:
                    self.rows["customer_links"][self.id(said.link),]["until"] = said.until
            case "RelationshipChanged":
                row["relationship"] = said.new.value
            case "ConsentGranted" | "ConsentWithdrawn" as state:
                key = {"customer_id": own, "purpose_key": said.purpose.casefold(), "channel": said.channel.value}
                stated = {"state": state.removeprefix("Consent").lower(), "basis": said.basis and said.basis.value}
                proof = {"text_version": said.text_version, "proof": seen(said.proof), "stated_at": at}
                self.rows["customer_consents"][tuple(key.values())] = {
                    **key,
                    "purpose": said.purpose,
                    **stated,
                    **proof,
                }
            case "NoteAdded":
                self.note("customer_notes", entry, customer_id=own)
            case "Archived":
                row |= {"status": "archived", "archived_at": at}
            case "Restored":
                row |= {"status": "active", "archived_at": None}
            case "Unmasked" | "PersonalDataExported":
                pass
            case "ErasureRequested":
                row |= {"erasure": "requested", "erasure_at": at}
            case "ErasureRequestWithdrawn":
                row |= {"erasure": None, "erasure_at": None}
            case "ErasureApproved":
                row |= {"erasure": "approved", "erasure_at": at}
            case "PersonalDataErased":
                row |= {"status": "erased", "erasure": "erased", "erasure_at": at}
            case "LegalHoldPlaced" | "LegalHoldLifted" if seen(said.matter) is None:
                pass
            case "LegalHoldPlaced":
                key = {"customer_id": own, "matter_key": said.matter.casefold()}
                self.rows["customer_legal_holds"][tuple(key.values())] = {**key, "matter": said.matter, "placed_at": at}
            case "LegalHoldLifted":
                del self.rows["customer_legal_holds"][own, said.matter.casefold()]
            case other:
                raise AssertionError(f"the oracle knows no {other}")

    def contact_point(self, entry: Recorded[Any], own: str, id: UUID, one: Any, primary: bool, place: int = 0) -> None:
        if one.kind.value in ("email", "phone"):
            texts = [words_of(seen(text)) for text in (one.value, one.normalised)]
            if one.kind.value == "phone":
                texts = [text.replace(" ", "") for text in texts]
            self.found_by(entry, own, "contact_point", *texts, which=self.id(id) or "")
        compared = seen(one.normalised)
        values = {
            "value": seen(one.value),
            "normalised": compared if compared is None else unicodedata.normalize("NFC", compared),
            "label": seen(one.label),
        }
        order = {"ordinal": nth(entry, place), "added_at": entry.occurred_at}
        row = {"id": self.id(id), "customer_id": own, "kind": one.kind.value, "is_primary": primary, **values, **order}
        self.rows["customer_contact_points"][self.id(id),] = row

    def prefer(self, promoted: UUID | None, demoted: UUID | None) -> None:
        for id, primary in ((demoted, False), (promoted, True)):
            if row := self.rows["customer_contact_points"].get((self.id(id),)):
                row["is_primary"] = primary

    def opportunity(self, what: str, said: Any, own: str, row: Row, entry: Recorded[Any]) -> None:
        lines = self.rows["opportunity_lines"]
        deal = self.deals.setdefault(own, {"override": None, "lines": {}})
        match what.removeprefix("Opportunity"):
            case "Opened":
                self.named(row, "title", said.title)
                self.found_by(entry, own, "title", said.title)
                row |= {"status": "open", "customer_id": self.id(said.customer), "amount": said.amount}
                row |= {"pipeline_id": self.id(said.pipeline), "currency": said.currency}
                row |= {"expected_close": said.expected_close, "source": seen(said.source)}
                row |= {"campaign": seen(said.campaign), "owner_id": self.id(said.owner), "team_id": self.id(said.team)}
                self.stage(entry, own, row, None, said.stage, said.probability)
                for place, line in enumerate(said.lines):
                    self.line(entry, own, line, said.currency, place)
                self.external_ids(entry, own)
            case "Renamed":
                self.named(row, "title", said.new)
                self.found_by(entry, own, "title", said.new)
            case "CustomerAssigned":
                row["customer_id"] = self.id(said.new)
            case "StageChanged":
                self.stage(entry, own, row, said.from_stage, said.to_stage, said.stage_probability)
            case "PipelineChanged":
                row["pipeline_id"] = self.id(said.to_pipeline)
                self.stage(entry, own, row, said.from_stage, said.to_stage, said.stage_probability)
            case "AmountChanged":
                row |= {"amount": said.new_amount, "currency": said.new_currency}
            case "CloseDateMoved":
                row["expected_close"] = said.new
            case "ProbabilityOverridden":
                deal["override"] = said.new if said.overridden else None
            case "LineAdded":
                row["currency"] = said.currency
                self.line(entry, own, said.added, said.currency)
            case "LineChanged":
                lines[self.id(said.new.line),] |= self.terms(deal, said.new)
            case "LineRemoved":
                del lines[self.id(said.removed.line),], deal["lines"][said.removed.line]
                row["amount"] = None
            case "Reassigned":
                row |= {"owner_id": self.id(said.new_owner), "team_id": self.id(said.new_team)}
            case "Won":
                row |= {"status": "won", "amount": said.amount, "currency": said.currency, "closed_on": said.closed_on}
            case "Lost":
                row |= {"status": "lost", "closed_on": said.closed_on, "loss_reason": said.reason.value}
                row |= {"competitor": seen(said.competitor), "loss_note": seen(said.note)}
            case "Reopened":
                deal["override"] = None
                row |= {"status": "open", "closed_on": None, "loss_reason": None, "competitor": None, "loss_note": None}
            case "NoteAdded":
                self.note("opportunity_notes", entry, opportunity_id=own)
            case "ExternalIdAdded":
                self.external_id(entry, own, said.external_id)
            case other:
                raise AssertionError(f"the oracle knows no {other}")
        if deal["lines"]:
            totals = list(deal["lines"].values())
            row["amount"] = None if None in totals else sum(totals, Decimal(0))
        row |= {"probability": self.probability(row, deal), "probability_overridden": deal["override"] is not None}

    def probability(self, row: Row, deal: dict[str, Any]) -> Decimal:
        """Won is 100 %, lost 0 %; else what somebody said instead of the stage, or the stage."""
        open_ = deal["stage"] if deal["override"] is None else deal["override"]
        known: dict[str, Decimal] = {"won": Decimal(100), "lost": Decimal(0), "open": open_}
        return known[row["status"]]

    def stage(
        self, entry: Recorded[Any], own: str, row: Row, former: UUID | None, stage: UUID, probability: Decimal
    ) -> None:
        deal, at = self.deals[own], entry.occurred_at
        before = self.probability(row, deal) if former else None
        deal["stage"] = probability
        after = self.probability(row, deal)
        row |= {"stage_id": self.id(stage), "stage_entered_at": at}
        moved = {"from_stage_id": self.id(former), "stage_id": self.id(stage), "entered_at": at}
        key = {"opportunity_id": own, "ordinal": entry.originator_version}
        self.rows["opportunity_stage_history"][tuple(key.values())] = {
            **key, **moved, "probability_before": before, "probability_after": after
        }  # fmt: skip

    def line(self, entry: Recorded[Any], own: str, line: Any, currency: str, place: int = 0) -> None:
        row = {"id": self.id(line.line), "opportunity_id": own, "product_id": self.id(line.product)}
        order = {"currency": currency, "ordinal": nth(entry, place), "added_at": entry.occurred_at}
        self.rows["opportunity_lines"][row["id"],] = {**row, **order, **self.terms(self.deals[own], line)}

    def terms(self, deal: dict[str, Any], line: Any) -> Row:
        deal["lines"][line.line] = line.total
        return {name: getattr(line, name) for name in ("quantity", "price", "discount", "tax", "total")}

    def ticket(self, what: str, said: Any, own: str, row: Row, entry: Recorded[Any]) -> None:
        at = entry.occurred_at
        match what.removeprefix("Ticket"):
            case "Opened":
                self.named(row, "subject", said.subject)
                self.found_by(entry, own, "subject", said.subject)
                self.found_by(entry, own, "number", str(said.number))
                row |= {"number": said.number, "status": "open" if said.assignee else "new", "kind": said.kind.value}
                row |= {"priority": said.priority.value, "priority_rank": RANKS.index(said.priority.value)}
                row |= {"channel": said.channel.value, "queue_id": self.id(said.queue), "escalation_level": 0}
                row |= {"assignee_id": self.id(said.assignee), "customer_id": self.id(said.customer)}
                row |= {"follows_id": self.id(said.follows)}
                if said.message is not None:
                    self.message(entry, own, "customer_reply", channel=said.channel.value)
                self.external_ids(entry, own)
            case "Assigned":
                row["assignee_id"] = self.id(said.new)
                self.takes_up(row, taken_up=said.new is not None)
            case "QueueChanged":
                row["queue_id"] = self.id(said.new)
            case "PriorityChanged":
                row |= {"priority": said.new.value, "priority_rank": RANKS.index(said.new.value)}
            case "KindChanged":
                row["kind"] = said.new.value
            case "SubjectChanged":
                self.named(row, "subject", said.new)
                self.found_by(entry, own, "subject", said.new)
            case "CustomerAssigned":
                row["customer_id"] = self.id(said.new)
            case "CustomerReplied":
                self.message(entry, own, "customer_reply", channel=said.channel.value)
                self.moves(row, "new" if row["status"] == "new" else "open")
            case "AgentReplied":
                self.message(entry, own, "agent_reply", is_public=said.public)
                if said.public:
                    row.setdefault("first_responded_at", at)
                self.takes_up(row, taken_up=said.public)
            case "NoteAdded":
                shown = {"kind": "note", "is_public": False, "is_pinned": said.pinned}
                self.note("ticket_messages", entry, ticket_id=own, **shown)
            case "Pended" | "PutOnHold" | "Resumed" | "Reopened" as move:
                self.moves(row, {"Pended": "pending", "PutOnHold": "on_hold"}.get(move, "open"))
            case "Solved":
                row |= {"status": "solved", "solved_at": at, "solution": said.code.value}
                row["solution_note"] = seen(said.note)
            case "Closed":
                row |= {"status": "closed", "closed_at": at}
            case "Escalated":
                row |= {"escalation_level": said.level, "escalated_to_staff_id": self.id(said.staff)}
                row["escalated_to_team_id"] = self.id(said.team)
            case "ComplaintClassified":
                row |= {"severity": said.severity.value, "regulator_due": said.due}
            case "SatisfactionRequested":
                row["satisfaction_requested_at"] = at
            case "SatisfactionGiven":
                row |= {"satisfaction_given_at": at, "satisfaction_score": said.score}
                row["satisfaction_comment"] = seen(said.comment)
            case "ExternalIdAdded":
                self.external_id(entry, own, said.external_id)
            case other:
                raise AssertionError(f"the oracle knows no {other}")

    def takes_up(self, row: Row, *, taken_up: bool) -> None:
        if taken_up and row["status"] == "new":
            row["status"] = "open"

    def moves(self, row: Row, status: str) -> None:
        row |= {"status": status, "solved_at": None, "solution": None, "solution_note": None}

    def message(self, entry: Recorded[Any], own: str, kind: str, **more: Any) -> None:
        said = {"text": seen(entry.event.text), "author": entry.actor, "written_at": entry.occurred_at}
        row = {"id": self.id(entry.event.message), "ticket_id": own, "kind": kind, "ordinal": nth(entry)}
        self.rows["ticket_messages"][row["id"],] = {**row, **said, "is_public": True, "is_pinned": False, **more}

    def pipeline(self, what: str, said: Any, own: str, row: Row, _entry: Recorded[Any]) -> None:
        stages, order = self.rows["pipeline_stages"], list[UUID]()
        match what.removeprefix("Pipeline"):
            case "Defined":
                self.named(row, "name", said.name)
                row |= {"status": "active", "currency": said.currency}
                for one in said.stages:
                    stages[self.id(one.stage),] = {"id": self.id(one.stage), "pipeline_id": own, "retired": False}
                    stages[self.id(one.stage),] |= _stage_terms(one)
                order = [one.stage for one in said.stages]
            case "StageAdded":
                id = self.id(said.added.stage)
                stages[id,] = {"id": id, "pipeline_id": own, "retired": False, **_stage_terms(said.added)}
                order = list(said.order)
            case "StageChanged":
                stages[self.id(said.stage),] |= _stage_terms(said.new)
            case "StagesReordered":
                order = list(said.new)
            case "StageRetired":
                stages[self.id(said.stage),]["retired"] = True
                order = list(said.order)
            case _:
                self.simple(what.removeprefix("Pipeline"), said, row)
        for place, stage in enumerate(order):
            stages[self.id(stage),]["ordinal"] = place

    def simple(self, what: str, said: Any, row: Row) -> None:
        """What the small aggregates have in common."""
        match what:
            case "Renamed":
                self.named(row, "name", said.new)
            case "Archived" | "Deactivated" | "Discontinued":
                row["status"] = what.lower()
            case "Restored" | "Reactivated" | "Resumed":
                row["status"] = "active"
            case _:
                raise AssertionError(f"the oracle knows no {what}")

    def product(self, what: str, said: Any, own: str, row: Row, entry: Recorded[Any]) -> None:
        match what.removeprefix("Product"):
            case "Added":
                self.named(row, "name", said.name)
                self.found_by(entry, own, "name", said.name)
                self.found_by(entry, own, "code", said.code)
                row |= {"status": "active", "series": said.series, "code": said.code}
                row |= {"price": said.price, "currency": said.currency}
                self.external_ids(entry, own)
            case "PriceChanged":
                row |= {"price": said.new_price, "currency": said.new_currency}
            case "CodeChanged":
                row["code"] = said.new
                self.found_by(entry, own, "code", said.new)
            case "ExternalIdAdded":
                self.external_id(entry, own, said.external_id)
            case other:
                self.simple(other, said, row)
                if other == "Renamed":
                    self.found_by(entry, own, "name", said.new)

    def staff_member(self, what: str, said: Any, own: str, row: Row, entry: Recorded[Any]) -> None:
        match what.removeprefix("StaffMember"):
            case "Registered":
                self.named(row, "name", said.name)
                self.found_by(entry, own, "name", said.name)
                self.found_by(entry, own, "email", said.email, said.normalised_email)
                row |= {"status": "active", "email": seen(said.email), "team_id": self.id(said.team)}
                row["normalised_email"] = seen(said.normalised_email)
                self.external_ids(entry, own)
            case "EmailChanged":
                row |= {"email": seen(said.new), "normalised_email": seen(said.normalised_email)}
                self.found_by(entry, own, "email", said.new, said.normalised_email)
            case "TeamChanged":
                row["team_id"] = self.id(said.new)
            case "ExternalIdAdded":
                if seen(said.external_id):
                    self.external_id(entry, own, said.external_id)
            case "RoleGranted":
                key = {"staff_member_id": own, "role_id": self.id(said.role)}
                self.rows["staff_member_roles"][tuple(key.values())] = key
            case "RoleRevoked":
                del self.rows["staff_member_roles"][own, self.id(said.role)]
            case "Deactivated":
                row |= {"status": "deactivated", "deactivation": entry.position}
            case other:
                self.simple(other, said, row)
                if other == "Renamed":
                    self.found_by(entry, own, "name", said.new)

    def team(self, what: str, said: Any, own: str, row: Row, entry: Recorded[Any]) -> None:
        match what.removeprefix("Team"):
            case "Created":
                self.named(row, "name", said.name)
                row |= {"status": "active", "parent_id": self.id(said.parent), "lead_id": self.id(said.lead)}
                self.external_ids(entry, own)
            case "LeadAssigned":
                row["lead_id"] = self.id(said.new)
            case "ExternalIdAdded":
                if seen(said.external_id):
                    self.external_id(entry, own, said.external_id)
            case other:
                self.simple(other, said, row)

    def queue(self, what: str, said: Any, _own: str, row: Row, _entry: Recorded[Any]) -> None:
        match what.removeprefix("Queue"):
            case "Created":
                self.named(row, "name", said.name)
                row |= {"status": "active", "team_id": self.id(said.team)}
            case "TeamAssigned":
                row["team_id"] = self.id(said.new)
            case other:
                self.simple(other, said, row)

    def role(self, what: str, said: Any, own: str, row: Row, _entry: Recorded[Any]) -> None:
        match what.removeprefix("Role"):
            case "Defined":
                self.named(row, "name", said.name)
                row |= {"status": "active", "description": seen(said.description)}
                self.grants("role", own, said.grants)
            case "Described":
                row["description"] = seen(said.new)
            case "GrantsChanged":
                self.grants("role", own, said.new)
            case "Retired":
                row["status"] = "retired"
            case other:
                self.simple(other, said, row)

    def api_token(self, what: str, said: Any, own: str, row: Row, entry: Recorded[Any]) -> None:
        if what == "ApiTokenRevoked":
            row |= {"status": "revoked", "revoked_at": entry.occurred_at}
            return
        self.named(row, "name", said.name)
        row |= {"status": "active", "hash": said.hash, "issued_by": entry.actor, "expires_at": said.expires_at}
        self.grants("api_token", own, said.grants)

    def grants(self, kind: str, own: str, grants: Iterable[Any]) -> None:
        rows = self.rows[f"{kind}_grants"]
        for key in [key for key in rows if key[0] == own]:
            del rows[key]
        for one in grants:
            said = {"permission": one.permission.value, "scope": one.scope.value}
            place = PERMISSIONS.index(one.permission.value)
            rows[own, one.permission.value] = {f"{kind}_id": own, **said, "ordinal": place}

    def company(self, what: str, said: Any, _own: str, row: Row, _entry: Recorded[Any]) -> None:
        row |= msgspec.structs.asdict(said.settings if what == "CompanyDefined" else said.new)

    def timeline(self, entry: Recorded[Any], own: str) -> None:
        shown = [name for name in entry.event.__struct_fields__ if (entry.name, name) != ("ApiTokenIssued", "hash")]
        fields = {name: getattr(entry.event, name) for name in shown}
        gone = [camel(name) for name, value in fields.items() if isinstance(value, Withheld)]
        plain = msgspec.to_builtins({name: seen(value) for name, value in fields.items()}, builtin_types=(UUID,))
        self.rows["timeline"][entry.position,] = {
            "position": entry.position,
            "aggregate_kind": entry.kind,
            "aggregate_id": own,
            "version": entry.originator_version,
            "event": entry.name,
            "event_id": public("evt", entry.event_id),
            "recorded_at": entry.recorded_at,
            "occurred_at": entry.occurred_at,
            "subject_id": self.id(entry.subject),
            "actor": entry.actor,
            "on_behalf_of": entry.on_behalf_of,
            "correlation_id": entry.correlation_id,
            "causation_id": entry.causation_id and public("evt", entry.causation_id),
            "reason": entry.reason,
            "erased": entry.erased,
            "data": self.outside(plain),
            "withheld": gone,
        }

    def outside(self, value: Any) -> Any:
        """Plain data as it is shown: names in camel case, ids as public ids."""
        match value:
            case UUID():
                return self.id(value)
            case dict():
                return {camel(name): self.outside(one) for name, one in value.items()}
            case list() | tuple():
                return [self.outside(one) for one in value]
            case _:
                return value


def _stage_terms(stage: Any) -> Row:
    terms = {"name": stage.name, "probability": stage.probability, "idle_days": stage.idle_days}
    return {**terms, "category": stage.category.value}


def nth(entry: Recorded[Any], place: int = 0) -> int:
    """The order of parts: by event, then by their place in it."""
    return entry.originator_version * 1000 + place


def camel(name: str) -> str:
    return "".join(word.capitalize() if at else word for at, word in enumerate(name.split("_")))
