"""Why somebody can't sign in, or can't have the password that they want."""

from domain.kernel import Rule

LEAST_CHARACTERS, MOST_CHARACTERS = 12, 200
"""Of a password."""


class SignInRefused(Rule):
    """The e-mail address or the password is not right. An administrator can issue a token for a new password."""


class NoSession(Rule):
    """This is for who has signed in with a password: a token has no session, and its owner no password here."""


class PasswordWrong(Rule):
    """This is not the password that is in force."""


class PasswordTooShort(Rule):
    """A password has at least {least} characters: some words in a row are easy to remember."""

    least: int = LEAST_CHARACTERS


class PasswordTooLong(Rule):
    """A password has at most {most} characters."""

    most: int = MOST_CHARACTERS


class PasswordTooSimple(Rule):
    """This password repeats a few characters, or is part of the e-mail address: it would be guessed."""


class ResetTokenNotValid(Rule):
    """This one-time token is not valid: it was used, has expired, or a newer one was issued. Ask for another."""


class StaffMemberNotActive(Rule):
    """There is no active staff member of this id: only those sign in."""
