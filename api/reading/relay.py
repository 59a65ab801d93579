"""The Relay types that every list is made of, and the interface of everything that has an id of its own."""

from typing import Generic, TypeVar

import strawberry

from api.reading.declarations import column, hidden

T = TypeVar("T")


@strawberry.interface(description="Anything that has an id of its own: `node(id:)` finds it.")
class Node:
    id: strawberry.ID = column(
        "id", "The id: a type prefix and 26 letters. It never changes and is never used again.", filtered=True
    )
    hidden_fields: list[str] = hidden()


@strawberry.type(description="Where a page of a list lies within the list.")
class PageInfo:
    has_next_page: bool = strawberry.field(description="Whether the list goes on after this page.")
    has_previous_page: bool = strawberry.field(description="Whether there is something before this page.")
    start_cursor: str | None = strawberry.field(description="The cursor of the first element; null on an empty page.")
    end_cursor: str | None = strawberry.field(description="The cursor of the last element; null on an empty page.")


@strawberry.type(description="An element of a list, with its place in it.")
class Edge(Generic[T]):
    node: T = strawberry.field(description="The element.")
    cursor: str = strawberry.field(
        description="The element's place in this list's order: give it as `after` or `before`. It is opaque."
    )


@strawberry.type(description="One page of a list, at most 100 elements: `first` or `last` says how many.")
class Connection(Generic[T]):
    edges: list[Edge[T]] = strawberry.field(description="The page's elements with their cursors.")
    nodes: list[T] = strawberry.field(description="The page's elements alone.")
    page_info: PageInfo = strawberry.field(description="Where this page lies within the list.")
    total_count: int = strawberry.field(
        description="How many elements the list has on all its pages. It is counted only when asked for."
    )
