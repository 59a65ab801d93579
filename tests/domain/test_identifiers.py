"""Ids, against the test vectors of the TypeID specification and RFC 9562."""

from uuid import RFC_4122, UUID

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from domain.kernel import derived_id, new_id, parse_type_id, type_id
from domain.kernel.identifiers import NotATypeId

prefixes = st.from_regex(r"[a-z]([a-z_]{0,61}[a-z])?", fullmatch=True)


@pytest.mark.parametrize(
    ("text", "prefix", "id"),
    [
        ("nil_00000000000000000000000000", "nil", "00000000-0000-0000-0000-000000000000"),
        ("one_00000000000000000000000001", "one", "00000000-0000-0000-0000-000000000001"),
        ("ten_0000000000000000000000000a", "ten", "00000000-0000-0000-0000-00000000000a"),
        ("sixteen_0000000000000000000000000g", "sixteen", "00000000-0000-0000-0000-000000000010"),
        ("thirty_two_00000000000000000000000010", "thirty_two", "00000000-0000-0000-0000-000000000020"),
        ("max_7zzzzzzzzzzzzzzzzzzzzzzzzz", "max", "ffffffff-ffff-ffff-ffff-ffffffffffff"),
        ("prefix_0123456789abcdefghjkmnpqrs", "prefix", "0110c853-1d09-52d8-d73e-1194e95b5f19"),
        ("prefix_01h455vb4pex5vsknk084sn02q", "prefix", "01890a5d-ac96-774b-bcce-b302099a8057"),
    ],
)
def test_the_published_vectors(text: str, prefix: str, id: str) -> None:
    assert type_id(prefix, UUID(id)) == text
    assert parse_type_id(text) == (prefix, UUID(id))


@pytest.mark.parametrize(
    "text",
    [
        "PREFIX_00000000000000000000000000",
        "12345_00000000000000000000000000",
        "pre.fix_00000000000000000000000000",
        "préfix_00000000000000000000000000",
        "  prefix_00000000000000000000000000",
        "a" * 64 + "_00000000000000000000000000",
        "_prefix_00000000000000000000000000",
        "prefix__00000000000000000000000000",
        "_00000000000000000000000000",
        "00000000000000000000000000",
        "_",
        "",
        "prefix_1234567890123456789012345",
        "prefix_123456789012345678901234567",
        "prefix_1234567890123456789012345 ",
        "prefix_01h455vb4pex5vsknk084sn02q\n",
        "prefix_0123456789ABCDEFGHJKMNPQRS",
        "prefix_123456789-123456789-123456",
        "prefix_ooooooiiiiiiuuuuuuulllllll",
        "prefix_i23456789ol23456789oi23456",
        "prefix_8zzzzzzzzzzzzzzzzzzzzzzzzz",
        "prefix_0123456789abcdefghjkmnpqr\ud800",
    ],
)
def test_what_is_no_type_id(text: str) -> None:
    with pytest.raises(NotATypeId):
        parse_type_id(text)


@for_all(prefixes, st.uuids(allow_nil=True))
def test_there_and_back(prefix: str, id: UUID) -> None:
    text = type_id(prefix, id)
    assert parse_type_id(text) == (prefix, id)
    assert len(text) == len(prefix) + 27


@for_all(st.lists(st.uuids(), min_size=2, max_size=2))
def test_texts_sort_as_the_ids_do(ids: list[UUID]) -> None:
    assert sorted(ids) == [parse_type_id(text)[1] for text in sorted(type_id("cus", id) for id in ids)]


def test_a_new_id_is_a_uuid_of_version_7_and_ascends_across_milliseconds(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[UUID] = []
    for millisecond in (0, 1, 1_700_000_000_000, 1_700_000_000_001, 2**48 - 1):
        monkeypatch.setattr("time.time_ns", lambda at=millisecond: at * 1_000_000 + 999_999)
        made.append(new_id())
        assert made[-1].int >> 80 == millisecond
    assert made == sorted(made)
    assert {(id.version, id.variant) for id in made} == {(7, RFC_4122)}


def test_new_ids_of_one_millisecond_differ() -> None:
    assert len({new_id() for _ in range(1000)}) == 1000


@for_all(st.uuids(), st.text(), st.uuids(), st.integers(1, 1000))
def test_a_derived_id_is_the_same_for_ever_and_of_version_8(record: UUID, actor: str, key: UUID, ordinal: int) -> None:
    id = derived_id(record, "addNote", actor, key, ordinal)
    assert id == derived_id(record, "addNote", actor, key, ordinal)
    assert (id.version, id.variant) == (8, RFC_4122)
    assert id != derived_id(record, "addNote", actor, key, ordinal + 1)
    assert id != derived_id(record, "addNote", actor + "x", key, ordinal)
    assert id != derived_id(record, "linkContact", actor, key, ordinal)
    assert id != derived_id(UUID(int=record.int ^ 1), "addNote", actor, key, ordinal)


def test_a_derived_id_never_changes() -> None:
    """A retry after an upgrade must find them. The first 16 bytes of `sha256sum`, version and variant stamped in."""
    record, key = UUID("0190163d-8694-739b-aea5-966c26f8ad91"), UUID("01890a5d-ac96-774b-bcce-b302099a8057")
    assert derived_id(record, "addNote", "administrator", key, 1) == UUID("83d44733-788e-88b4-bf58-4ec65226a61c")
