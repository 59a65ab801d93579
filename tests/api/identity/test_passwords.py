"""What is looked at first of a password that somebody wants."""

from types import SimpleNamespace
from typing import NoReturn

import pytest

from api.identity import passwords
from api.identity.passwords import faults_of
from api.identity.rules import PasswordTooLong


def test_a_password_that_is_too_long_is_not_normalised(monkeypatch: pytest.MonkeyPatch) -> None:
    def normalise(_form: str, _text: str) -> NoReturn:
        raise AssertionError("this takes time by the square of accents in a row")

    monkeypatch.setattr(passwords, "unicodedata", SimpleNamespace(normalize=normalise))
    assert faults_of("a" + "\u0301" * 100 + "\u0323" * 100, None) == [PasswordTooLong(path=("password",))]
