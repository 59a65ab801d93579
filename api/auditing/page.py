"""A customer's story as a page to be filed and printed: one HTML file, without scripts or anything from outside.

Whatever a value holds is text on it: it becomes `_Html` through `_text` alone.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from typing import NewType

from api.replay import Happening, phrases

_Html = NewType("_Html", str)
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""What HTML does not allow, or what turns the direction of all that follows."""

_STYLE = """
:root { color-scheme: light; font: 11pt/1.45 Georgia, 'Times New Roman', serif; color: #1a1a1a; background: #fff; }
body { max-width: 62rem; margin: 2rem auto; padding: 0 1.5rem; }
h1 { font-size: 1.5rem; margin: 0 0 .25rem; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
p, dl { margin: .25rem 0; }
dl.facts { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; }
dt { color: #444; }
dd { margin: 0; overflow-wrap: anywhere; white-space: pre-wrap; }
table { border-collapse: collapse; width: 100%; }
caption { text-align: left; color: #444; padding-bottom: .4rem; }
th, td { text-align: left; vertical-align: top; padding: .45rem .6rem; border-bottom: 1px solid #bbb; }
thead th { border-bottom: 2px solid #444; }
th[scope=row] { font-weight: normal; white-space: nowrap; }
td { overflow-wrap: anywhere; }
td .what { font-weight: bold; }
.aside { color: #444; font-size: .92em; }
@page { size: A4; margin: 18mm 15mm; }
@media print {
  body { max-width: none; margin: 0; padding: 0; font-size: 9.5pt; }
  thead { display: table-header-group; }
  tr, h2 { break-inside: avoid; }
  h2 { break-after: avoid; }
}
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def page(name: str, story: Sequence[Happening], *, made_at: datetime) -> str:
    """The page of a story, whose record is called `name`. It has personal data in plain text, as the story has."""
    records = dict.fromkeys(one.record for one in story)
    facts = {
        "Record": story[0].record,
        "Entries": f"{len(story)}, in {len(records)} {'record' if len(records) == 1 else 'records'}",
        "Happened": f"{_moment(story[0].occurred_at)} to {_moment(story[-1].occurred_at)}",
        "Up to entry": str(max(one.position for one in story)),
        "Made": _moment(made_at),
    }
    body = [
        _tag("h1", _text(name)),
        _tag("p", _text("Every entry of this history, in its order; nothing is folded or left out."), "aside"),
        _facts(facts, "facts"),
        _tag("h2", _text("What happened")),
        _table(story),
        _tag("h2", _text("What this page is")),
        _tag("p", _text("It is told from the book and proves nothing: a bundle does (daybook bundle).")),
        _tag("p", _text("It holds personal data. A copy outlives an erasure: note who has one.")),
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n<meta name="robots" content="noindex">\n'
        f"{_tag('title', _text(f'{name}: history'))}\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(body)
        + "\n</main>\n</body>\n</html>\n"
    )


def _table(story: Sequence[Happening]) -> _Html:
    heads = "".join(f'<th scope="col">{_text(head)}</th>' for head in ("When", "What", "Who"))
    caption = _tag("caption", _text("Times are UTC."))
    rows = "\n".join(map(_row, story))
    return _Html(f"<table>\n{caption}\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table>")


def _row(one: Happening) -> _Html:
    when = [_time(one.occurred_at)]
    if one.recorded_at.date() != one.occurred_at.date():
        when.append(_Html(f'<br><span class="aside">recorded {_time(one.recorded_at)}</span>'))
    said = dict(phrases(one.values))
    what = [_tag("div", _text(one.what), "what"), *([_facts(said, "facts")] if said else [])]
    if one.reason is not None:
        what.append(_tag("p", _text(f"Reason: {one.reason}")))
    where = f"{one.event}, {one.record} version {one.version}, entry {one.position}"
    what.append(_tag("div", _text(where), "aside"))
    who = one.actor if one.on_behalf_of is None else f"{one.actor} for {one.on_behalf_of}"
    return _Html(f'<tr><th scope="row">{_joined(when)}</th><td>{_joined(what)}</td><td>{_text(who)}</td></tr>')


def _facts(facts: Mapping[str, str], kind: str) -> _Html:
    rows = (_Html(f"{_tag('dt', _text(name))}{_tag('dd', _text(value))}") for name, value in facts.items())
    return _tag("dl", _joined(rows), kind)


def _time(at: datetime) -> _Html:
    return _Html(f'<time datetime="{at.astimezone(UTC).isoformat()}">{_moment(at)}</time>')


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M}"


def _tag(name: str, content: _Html, kind: str = "") -> _Html:
    opening = f'{name} class="{kind}"' if kind else name
    return _Html(f"<{opening}>{content}</{name}>")


def _text(value: str) -> _Html:
    """Text, and nothing but: no tag, no character that turns the direction of what follows or that HTML forbids."""
    return _Html(escape(_UNSEEN.sub("\ufffd", value)))


def _joined(parts: Iterable[_Html]) -> _Html:
    return _Html("".join(parts))
