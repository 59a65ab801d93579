"""Changes of the schema: what breaks a client is named in the changelog, what goes says from when on.

`docs/frontend/released.graphql` is the schema that clients were given last; a release copies `schema.graphql` there
(`make released`). It is compared with, rather than with git's history, which not every clone has.
"""

import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    build_schema,
    find_breaking_changes,
)

from api.schema import schema_text
from tests.api.printed import printed_schema

ROOT = Path(__file__).parents[2]
RELEASED = ROOT / "docs" / "frontend" / "released.graphql"


def coordinate(description: str) -> str:
    """The coordinate of the element that a change is about: `Field Customer.owner was removed.` -> `Customer.owner`."""
    element = re.search(r"@\w+(\(\w+:\))?|\w+\.\w+(\(\w+:\))?", description)
    return element[0] if element else description.removeprefix("Standard scalar ").split()[0]


def breaking(before: str, after: str) -> dict[str, str]:
    """What breaks a client: descriptions, by coordinate."""
    changes = find_breaking_changes(build_schema(before), build_schema(after))
    return {coordinate(change.description): change.description for change in changes}


def announced(changelog: str) -> set[str]:
    """What stands as code in the entries of the unreleased part that say **Breaking**."""
    unreleased = changelog.partition("\n## Unreleased\n")[2].partition("\n## ")[0]
    entries = re.split(r"^- |^### ", unreleased, flags=re.MULTILINE)
    return {code for entry in entries if "**Breaking**" in entry for code in re.findall(r"`([^`]+)`", entry)}


def deprecations(schema: GraphQLSchema) -> Iterator[tuple[str, str]]:
    """The reasons of everything deprecated, with its coordinate."""
    for name, one in schema.type_map.items():
        if isinstance(one, GraphQLObjectType | GraphQLInterfaceType):
            for field_name, field in one.fields.items():
                if field.deprecation_reason:
                    yield f"{name}.{field_name}", field.deprecation_reason
                for key, argument in field.args.items():
                    if argument.deprecation_reason:
                        yield f"{name}.{field_name}({key}:)", argument.deprecation_reason
        elif isinstance(one, GraphQLInputObjectType):
            for key, input_field in one.fields.items():
                if input_field.deprecation_reason:
                    yield f"{name}.{key}", input_field.deprecation_reason
        elif isinstance(one, GraphQLEnumType):
            for key, value in one.values.items():
                if value.deprecation_reason:
                    yield f"{name}.{key}", value.deprecation_reason


def without_a_date(schema: GraphQLSchema) -> list[str]:
    """What is deprecated without saying from which day on it may be gone."""
    return [where for where, reason in deprecations(schema) if not _has_date(reason)]


def _has_date(reason: str) -> bool:
    for said in re.findall(r"\b\d{4}-\d{2}-\d{2}\b", reason):
        try:
            date.fromisoformat(said)
        except ValueError:
            continue
        return True
    return False


def test_the_changelog_names_every_change_that_breaks_a_client() -> None:
    changes = breaking(RELEASED.read_text(encoding="utf-8"), schema_text())
    known = announced((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"))
    silent = [f"`{where}`: {change}" for where, change in changes.items() if where not in known]
    assert silent == [], "name each in an entry that says **Breaking**, in the unreleased part of CHANGELOG.md"


def test_what_is_deprecated_says_when_it_may_be_gone() -> None:
    assert without_a_date(printed_schema()) == []


BEFORE = """
directive @shown(as: String) on FIELD
interface Named { name: String! }
enum Kind { PERSON ORGANISATION }
input Where { name: String kind: Kind }
type Customer implements Named { name: String! owner: String kind: Kind! }
union Found = Customer | Query
scalar Old
type Query { customer(id: ID, where: Where): Customer found: Found old: Old }
"""


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ("owner: String ", "", "Customer.owner"),
        ("owner: String ", "owner: Int ", "Customer.owner"),
        ("kind: Kind! }", "kind: Kind }", "Customer.kind"),
        ("(id: ID, where: Where)", "(where: Where)", "Query.customer(id:)"),
        ("(id: ID,", "(id: ID!,", "Query.customer(id:)"),
        ("(id: ID,", "(id: ID, key: ID!,", "Query.customer(key:)"),
        ("input Where { name: String ", "input Where { name: [String] ", "Where.name"),
        ("input Where { name: String ", "input Where { ", "Where.name"),
        ("input Where { ", "input Where { status: Kind! ", "Where.status"),
        ("PERSON ORGANISATION", "PERSON", "Kind.ORGANISATION"),
        ("implements Named ", "", "Customer"),
        (" | Query", "", "Query"),
        ("scalar Old", "enum Old { NEW }", "Old"),
        ("(as: String)", "", "@shown(as:)"),
        ("directive @shown(as: String) on FIELD", "", "@shown"),
    ],
)
def test_a_breaking_change_is_found_and_known_by_its_coordinate(old: str, new: str, where: str) -> None:
    assert old in BEFORE
    assert where in breaking(BEFORE, BEFORE.replace(old, new))


def test_what_is_added_breaks_nobody() -> None:
    after = BEFORE.replace("type Customer implements Named {", "type Customer implements Named { more: Int").replace(
        "input Where {", "input Where { more: Int"
    )
    assert breaking(BEFORE, after) == {}


def test_only_the_breaking_entries_of_the_unreleased_part_count() -> None:
    changelog = """# Changelog

## Unreleased

### Changed

- **Breaking** `Customer.owner` is now
  an object, as is `Customer.team`.
- `Customer.name` is nicer.

## 1.0

- **Breaking** `Customer.kind` is gone.
"""
    assert announced(changelog) == {"Customer.owner", "Customer.team"}


def test_a_deprecation_without_a_date_is_found_wherever_it_stands() -> None:
    schema = build_schema("""
        enum Kind { OLD @deprecated(reason: "Removed on 2027-13-01.") NEW }
        input Where {
          name: String @deprecated(reason: "Use `called`.")
          fine: Int @deprecated(reason: "Gone from 2027-01-01 on.")
        }
        type Query {
          a(b: Int @deprecated, w: Where): Kind @deprecated(reason: "May be gone from 2027-01-01 on: use `c`.")
          c: Int @deprecated
        }
    """)
    assert set(without_a_date(schema)) == {"Kind.OLD", "Where.name", "Query.a(b:)", "Query.c"}
