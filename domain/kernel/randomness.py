"""The system's random bytes, drawn for many at once: each call lets another thread have the interpreter, and waits."""

import os

_MANY = 256
_drawn: dict[int, list[bytes]] = {}
os.register_at_fork(after_in_child=_drawn.clear)  # two processes must not give out the same ones


def random_bytes(size: int) -> bytes:
    """As many bytes as `os.urandom` gives, and as good; none of them is given out twice. Thread-safe."""
    drawn = _drawn.setdefault(size, [])
    while True:
        try:
            return drawn.pop()
        except IndexError:
            many = os.urandom(size * _MANY)
            drawn.extend(many[at : at + size] for at in range(0, len(many), size))
