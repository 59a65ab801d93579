"""The second verifier, in JavaScript: what it says of files, beside what ours says of them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.clients.node import node
from verifier.daybook_verify_bundle import Wrong, verify

_HERE = Path(__file__).parent


def asked(folder: Path, vkey: str, what: str, *files: bytes | str) -> list[dict[str, Any]]:
    """What it says of files (bytes) with a key; a `str` is given to it as it is."""
    (folder / "key.txt").write_text(f"{vkey}\n")
    names = [one if isinstance(one, str) else f"{number}" for number, one in enumerate(files)]
    for name, one in zip(names, files, strict=True):
        if isinstance(one, bytes):
            (folder / name).write_bytes(one)
    done = node(_HERE / "verify.mjs", "key.txt", what, *names, cwd=folder)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def differences(folder: Path, vkey: str, files: Sequence[bytes]) -> list[tuple[int, Any, Any]]:
    """Bundles, by number, of which the two do not say the same: what it says, and what ours says."""
    theirs = asked(folder, vkey, "bundle", *files)
    said = zip(theirs, (ours(vkey, file) for file in files), strict=True)
    return [
        (number, their, our)
        for number, (their, our) in enumerate(said)
        if their != our and not ("refused" in their and "refused" in our)
    ]


def ours(vkey: str, file: bytes) -> Mapping[str, Any]:
    """What our verifier says of a bundle, in the words of the other one; why it refuses one, in its own."""
    try:
        verdict = verify(file, vkey)
    except Wrong as wrong:
        return {"refused": str(wrong)}
    return {
        "customer": verdict.customer,
        "entries": verdict.entries,
        "opened": verdict.opened,
        "sealed": verdict.sealed,
        "erased": verdict.erased,
        "untold": [one.partition(",")[0] for one in verdict.untold],
        "through": verdict.through,
        "checkpoint": {"origin": verdict.origin, "size": verdict.size},
        "story": [*verdict.story],
    }
