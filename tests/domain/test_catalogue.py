"""The catalogue is pinned: what was ever stored can be read for ever, and looks as it did."""

import json
from pathlib import Path

import msgspec

from domain.catalogue import catalogue
from domain.kernel import Withheld

ROOT = Path(__file__).parents[2]
PINNED = ROOT / "domain" / "events.json"


def test_no_stored_shape_has_changed() -> None:
    """A changed shape gets a new name ("TicketNoteAdded.2") and an upcaster; `make events` pins what is new."""
    pinned = json.loads(PINNED.read_text())
    today = json.loads(msgspec.json.encode(catalogue.schema()))
    gone = pinned.keys() - today.keys()
    assert not gone, f"events of these names are in books out there and could not be read any more: {sorted(gone)}"
    changed = [name for name in pinned if stored(pinned[name]) != stored(today[name])]
    assert not changed, f"these stored shapes changed: {changed}"
    assert not today.keys() - pinned.keys(), "new events: run `make events` to pin them"


def stored(entry: dict[str, object]) -> object:
    """What matters of an entry: its shape, not the wording of its descriptions."""

    def bare(value: object) -> object:
        if isinstance(value, dict):
            return {key: bare(one) for key, one in value.items() if key not in ("description", "title", "meaning")}
        return [bare(one) for one in value] if isinstance(value, list) else value

    return bare(entry)


def test_every_event_of_every_older_book_is_read_as_todays() -> None:
    """`older_shapes.json` holds entries as older versions wrote them, and what they mean today."""
    for case in json.loads((Path(__file__).parent / "older_shapes.json").read_text()):
        event = catalogue.decode(
            case["name"], json.dumps(case["public"]).encode(), json.dumps(case["personal"]).encode()
        )
        assert json.loads(msgspec.json.encode(event)) == case["today"], case["name"]
        erased = catalogue.decode(case["name"], json.dumps(case["public"]).encode(), Withheld.ERASED)
        for field in case["personal"]:
            if field != "$reason":
                assert getattr(erased, field) is Withheld.ERASED


def test_every_older_name_has_a_case() -> None:
    cases = {case["name"] for case in json.loads((Path(__file__).parent / "older_shapes.json").read_text())}
    assert cases == set(catalogue.older)


def test_ids_of_different_kinds_can_not_be_confused() -> None:
    assert len(set(catalogue.prefixes.values())) == len(catalogue.prefixes)
