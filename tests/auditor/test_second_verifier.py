"""A verifier in another language, written from docs/auditor and the standards named there, says what ours says."""

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple

import psycopg
import pytest

from api.auditing.bundle import Bundles
from domain.kernel import parse_type_id
from tests.api.book import serving
from tests.api.filled import opened
from tests.api.test_bundle import alter, signed_off
from tests.api.test_command_line import OK, Shell
from tests.auditor.foreign import asked, differences, ours
from tests.auditor.forging import checkpoints, forged, vkey
from tests.auditor.told import STRANGE, Story, append
from verifier.daybook_verify_bundle import MEMBERS

ALTERED = 100
FORGED = 300
STORY = "the story says something else"


class Office(NamedTuple):
    database: str
    shell: Shell
    vkey: str
    former: str
    """A checkpoint from before the last entries."""
    bundles: dict[str, bytes]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def office(module_database: str, tmp_path_factory: pytest.TempPathFactory) -> Office:
    folder = tmp_path_factory.mktemp("office")
    shell = Shell(module_database, folder)
    async with serving(module_database, folder) as client:
        story = Story(client)
        await story.begin()
        assert shell.run("rotate", "person-key", story.grace).returncode == OK
        await story.go_on()
        bundles = await story.bundles(story.grace)
        strange = [await story.registered(name="Strange") for _ in STRANGE]
    former = shell.run("checkpoint").stdout
    with psycopg.connect(module_database) as db:
        for id, columns in zip(strange, STRANGE, strict=True):
            append(db, folder, id, columns)
    assert shell.run("checkpoint").returncode == OK
    of = {"Grace": story.grace, "the navy": story.navy, "who is gone": story.gone}
    of |= {f"who has {columns}": id for id, columns in zip(strange, STRANGE, strict=True)}
    with opened(module_database, folder) as parts:
        maker = Bundles(parts.pool, parts.store, parts.vault)
        for name, id in of.items():
            for keys in (False, True):
                made = maker.of(parse_type_id(id)[1], disclose=keys)
                bundles[f"of {name}, {'with' if keys else 'without'} keys"] = made.file.encode()
    return Office(module_database, shell, shell.run("checkpoint", "--key").stdout.strip(), former, bundles)


@pytest.mark.anyio
async def test_both_say_the_same_of_every_bundle(office: Office, tmp_path: Path) -> None:
    names = [*office.bundles]
    found = differences(tmp_path, office.vkey, [*office.bundles.values()])
    assert {names[number]: difference for number, *difference in found} == {}
    said = {name: ours(office.vkey, file) for name, file in office.bundles.items()}
    assert {name: one["refused"] for name, one in said.items() if "refused" in one} == {}
    for what, at_least in (("opened", 20), ("sealed", 20), ("erased", 2)):
        assert sum(one[what] for one in said.values()) > at_least
    assert sum(bool(one["untold"]) for one in said.values()) > 10
    whole, past = (said[f"by GraphQL, of {what}"] for what in ("all", "a past moment"))
    assert 0 < past["entries"] < whole["entries"]


@pytest.mark.anyio
async def test_both_take_and_refuse_the_same_of_what_was_altered(office: Office, tmp_path: Path) -> None:
    """A byte; or, by who makes the SHA-256 anew, a field or an element of a list, also where nothing is proven."""
    random, whole = Random(5), [*office.bundles.values()]
    files = list[bytes]()
    for _ in range(ALTERED):
        file = random.choice(whole)
        at = random.randrange(len(file))
        files.append(file[:at] + random.randbytes(1) + file[at + 1 :])
    for _ in range(ALTERED):
        body = json.loads(random.choice(whole))
        alter(body, random, random.choice((MEMBERS[:-1], ("catalogue",), ("checkpoint", "made_at", "through"))))
        files.append(signed_off(body))
    assert differences(tmp_path, office.vkey, files) == []
    assert ALTERED < sum("refused" in ours(office.vkey, file) for file in files) < 2 * ALTERED


@pytest.mark.anyio
async def test_both_take_and_refuse_the_same_of_what_somebody_signed_who_signs_anything(tmp_path: Path) -> None:
    """The story is the other's; where it tells none, ours refuses the bundle for something else than its story."""
    random = Random(6)
    bodies = [forged(random) for _ in range(FORGED)]
    for body, theirs in zip(bodies, asked(tmp_path, vkey(), "bundle", *map(signed_off, bodies)), strict=True):
        our = ours(vkey(), signed_off(body))
        assert our["refused"].startswith(STORY) == ("told" in theirs), (body, theirs, our)
        body["story"] = theirs.get("told", [])
    assert differences(tmp_path, vkey(), [*map(signed_off, bodies)]) == []
    taken = [body for body in bodies if "refused" not in ours(vkey(), signed_off(body))]
    assert FORGED / 5 < len(taken) < FORGED / 2

    _, size, head, *_ = taken[0]["checkpoint"].split("\n")
    noted = [signed_off({**taken[0], "checkpoint": one}) for one in checkpoints(int(size), base64.b64decode(head))]
    assert differences(tmp_path, vkey(), noted) == []
    assert 10 < sum("refused" not in ours(vkey(), file) for file in noted) < len(noted) / 2


@pytest.mark.anyio
async def test_it_checks_the_proof_of_an_entry(office: Office, tmp_path: Path) -> None:
    proof = office.shell.run("prove", "17").stdout
    [said] = asked(tmp_path, office.vkey, "proof", proof.encode())
    assert said["index"] == 16
    entry = ("position", "originator_version", "topic", "actor")
    with psycopg.connect(office.database) as db:
        found = db.execute(f"SELECT {', '.join(entry)} FROM daybook.events WHERE position = 17".encode())
        assert [tuple(said[column] for column in entry)] == found.fetchall()
    refused_when_altered(tmp_path, office.vkey, "proof", proof.encode())


@pytest.mark.anyio
async def test_it_checks_that_a_checkpoint_goes_on_from_another_and_who_has_seen_it(
    office: Office, tmp_path: Path
) -> None:
    run = office.shell.run
    former, kept = tmp_path / "former", tmp_path / "kept"
    former.write_text(office.former)
    request = run("checkpoint", "--since", str(former)).stdout
    [said] = asked(tmp_path, office.vkey, "since", "former", request.encode())
    assert said["size"] == int(office.former.split("\n")[1]) + len(STRANGE)
    refused_when_altered(tmp_path, office.vkey, "since", request.encode(), "former")

    cosigned = run("witness", "--keep", str(kept), "--key", office.vkey, str(former)).stdout
    witness = run("witness", "--keep", str(kept), "--own-key").stdout.strip()
    origin = office.vkey.partition("+")[0]
    for who in (office.vkey, witness):
        [seen] = asked(tmp_path, who, "seen", origin, cosigned.encode())
        assert (seen["origin"], seen["size"]) == (origin, said["size"] - len(STRANGE))
    # Of the signature of the log, whose key it is not given, the verifier of a witness knows nothing.
    text, signature, _ = cosigned.splitlines(keepends=True)[:3], *cosigned.splitlines(keepends=True)[4:]
    before, of_the_log = len("".join(text).encode()) + 1, len(signature.encode())
    passed_over = range(before, before + of_the_log)
    refused_when_altered(tmp_path, witness, "seen", cosigned.encode(), origin, but=passed_over)


def refused_when_altered(folder: Path, vkey: str, what: str, file: bytes, *given: str, but: Sequence[int] = ()) -> None:
    random, altered = Random(7), list[bytes]()
    while len(altered) < ALTERED:
        at, byte = random.randrange(len(file)), random.randbytes(1)
        if byte != file[at : at + 1] and at not in but:
            altered.append(file[:at] + byte + file[at + 1 :])
    said = asked(folder, vkey, what, *given, *altered)
    assert [one for one in said if "refused" not in one] == []
