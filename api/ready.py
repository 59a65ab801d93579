"""A value that SQL has finished: resolvers return it, and whoever executes them passes it on as it is."""

import msgspec


class Ready:
    """A value that is finished JSON text already, its selections included; it goes into the response as it is."""

    __slots__ = ("json", "there")

    def __init__(self, text: bytes) -> None:
        self.json, self.there = msgspec.Raw(text), text != b"null"
