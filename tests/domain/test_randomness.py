"""Random bytes that are drawn for many at once are given out once, to whichever thread or process asks."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from domain.kernel.randomness import random_bytes

_FORKED = """
import os
from domain.kernel.randomness import random_bytes
random_bytes(10)  # the rest of what was drawn is in memory when the process is forked
child = os.fork()
os.write(1, b"".join(random_bytes(10).hex().encode() + b"\\n" for _ in range(100)))  # two processes, one pipe
if child:
    os.waitpid(child, 0)
"""


def test_threads_are_never_given_the_same() -> None:
    with ThreadPoolExecutor(8) as threads:
        drawn = [
            each for many in threads.map(lambda _: [random_bytes(10) for _ in range(5_000)], range(8)) for each in many
        ]
    assert len(set(drawn)) == len(drawn) == 40_000


def test_a_forked_process_draws_its_own() -> None:
    told = subprocess.run([sys.executable, "-c", _FORKED], capture_output=True, check=True, text=True).stdout.split()
    assert len(set(told)) == len(told) == 200


def test_they_are_as_long_as_was_asked() -> None:
    assert [len(random_bytes(size)) for size in (10, 32, 12, 10)] == [10, 32, 12, 10]
