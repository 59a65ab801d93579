"""Signed notes, checkpoints and keys: the published examples, and whatever differs by one character is refused."""

import stat
from pathlib import Path

import pytest

from infra.log.checkpoint import Checkpoint, checkpoint, read, verified
from infra.log.note import NoteError, Signer, Verifier, opened
from infra.log.signing_key import SigningKeyError, signing_key

# The example of Go's golang.org/x/mod/sumdb/note, the reference implementation.
SECRET = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
PUBLIC = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
SIGNED = (
    f"{TEXT}\n— PeterNeumann"
    " x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
# The examples of C2SP's signed-note and tlog-checkpoint; of the latter's key only the id is known.
ANOTHER = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
ANOTHERS = (
    "This is an example message.\n\n— example.com/foo"
    " Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
)
SOFA = (
    "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
    "— example.com/behind-the-sofa"
    " Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
)
SIGNER = Signer.read(SECRET)
CHECKPOINT = checkpoint(7, bytes(range(32)), SIGNER)


def test_the_published_example_comes_out_byte_for_byte() -> None:
    assert SIGNER.signed(TEXT) == SIGNED
    assert str(SIGNER.verifier) == PUBLIC
    assert SIGNER.secret == SECRET
    assert opened(SIGNED, [Verifier.read(PUBLIC)]) == TEXT
    assert opened(ANOTHERS, [Verifier.read(ANOTHER)]) == "This is an example message.\n"


def test_signatures_of_strangers_are_passed_over() -> None:
    cosigned = SIGNED + ANOTHERS.rpartition("\n\n")[2]
    assert opened(cosigned, [Verifier.read(PUBLIC)]) == TEXT
    with pytest.raises(NoteError, match=r"signature of example\.com/foo is wrong"):
        opened(cosigned, [Verifier.read(PUBLIC), Verifier.read(ANOTHER)])
    with pytest.raises(NoteError, match="whose key is not here"):
        opened(SIGNED, [Verifier.read(ANOTHER)])


def test_the_published_checkpoint_is_read() -> None:
    found = read(SOFA)
    assert (found.origin, found.size) == ("example.com/behind-the-sofa", 20852163)
    assert SOFA.startswith(found.text + "\n")


def test_a_checkpoint_is_verified() -> None:
    assert verified(CHECKPOINT, [SIGNER.verifier]) == Checkpoint("PeterNeumann", 7, bytes(range(32)))
    other = Signer("somebody", bytes(32))
    with pytest.raises(NoteError):
        verified(other.signed(read(CHECKPOINT).text), [SIGNER.verifier, other.verifier])


@pytest.mark.parametrize("at", range(len(CHECKPOINT)))
def test_a_checkpoint_with_one_character_changed_is_refused(at: int) -> None:
    changed = CHECKPOINT[:at] + chr(ord(CHECKPOINT[at]) ^ 1) + CHECKPOINT[at + 1 :]
    with pytest.raises(NoteError):
        verified(changed, [SIGNER.verifier])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "x",
        "x\n\n",
        "a\n7\n",
        CHECKPOINT[:-1],
        CHECKPOINT.replace("\n7\n", "\n07\n"),
        "\n\n— a b\n",
        "— \n\n—  \n",
    ],
)
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(NoteError):
        read(text)


@pytest.mark.parametrize("key", [PUBLIC, SECRET])
def test_a_key_that_differs_is_refused(key: str) -> None:
    taken = Verifier.read if key == PUBLIC else Signer.read
    for at in range(len(key)):
        with pytest.raises(NoteError) as refused:
            taken(key[:at] + chr(ord(key[at]) ^ 1) + key[at + 1 :])
        assert key[-40:] not in str(refused.value)


def test_the_signing_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "signing.key"
    made = signing_key(file, begun=False)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert signing_key(file, begun=True).verifier == made.verifier
    assert made.verifier.name.startswith("daybook/")


def test_a_signing_key_that_is_not_one_is_told(tmp_path: Path) -> None:
    file = tmp_path / "signing.key"
    with pytest.raises(SigningKeyError, match="--new-key"):
        signing_key(file, begun=True)
    assert not file.exists()
    file.write_text(PUBLIC)
    file.chmod(0o600)
    with pytest.raises(SigningKeyError, match="holds no signing key"):
        signing_key(file, begun=False)
    file.chmod(0o644)
    with pytest.raises(SigningKeyError, match="can be read by others"):
        signing_key(file, begun=False)
