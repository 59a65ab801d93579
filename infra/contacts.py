"""Contact points as they are compared: e-mails, phone numbers and web addresses parsed, the rest with case folded."""

import re
from functools import lru_cache
from typing import TypeVar
from urllib.parse import urlsplit, urlunsplit

import idna
import msgspec
import phonenumbers
from email_validator import EmailNotValidError, validate_email
from email_validator.rfc_constants import DOT_ATOM_TEXT, EMAIL_MAX_LENGTH
from phonenumbers import NumberParseException, PhoneNumberFormat, ValidationResult

from domain.kernel import ContactKind, NewContactPoint, Path, Rule, refuse
from domain.staff_member import ChangeStaffMemberEmail, RegisterStaffMember

LONGEST = 1_000
"""Characters of an e-mail address as it is typed."""

S = TypeVar("S", RegisterStaffMember, ChangeStaffMemberEmail)


class EmailMalformed(Rule):
    """This is no e-mail address; one looks like ada@example.com."""


class PhoneMalformed(Rule):
    """This is no telephone number that can be called from abroad; one looks like +41 44 668 18 00."""


class PhoneNeedsCountryCode(Rule):
    """The telephone number needs its country code (+41 44 668 18 00): the company names no phone region."""


class WebAddressMalformed(Rule):
    """This is no web address; one looks like https://example.com/about."""


def complete_contact_point(point: NewContactPoint, path: Path, region: str | None = None) -> NewContactPoint:
    """The contact point with its `normalised` value; `value` stays as typed. `region`: ISO 3166 code for local numbers.

    Raises Refused where the value is none of its kind.
    """
    return msgspec.structs.replace(point, normalised=normalised(point.kind, point.value, (*path, "value"), region))


def normalised(kind: ContactKind, value: str, path: Path = (), region: str | None = None) -> str:
    """What two spellings of one contact point have in common. Raises Refused with `path` where it is malformed."""
    match kind:
        case ContactKind.EMAIL:
            return email_address(value, path)
        case ContactKind.PHONE:
            return _phone_number(value, path, region)
        case ContactKind.WEB:
            return _web_address(value, path)
        case ContactKind.ADDRESS | ContactKind.SOCIAL:
            return " ".join(value.casefold().split())


def email_address(value: str, path: Path = ()) -> str:
    """The address in lower case, its domain in ASCII (IDNA). Nobody is asked whether it takes mail."""
    if len(value) > LONGEST:  # the library normalises before it looks at the length
        refuse(EmailMalformed(path=path))
    local, _, domain = value.rpartition("@")
    try:
        # Nearly all addresses. Of theirs the library looks at each part, and at the length; of xn-- at its letters'.
        plain = DOT_ATOM_TEXT.match(local) and value.isascii() and "xn--" not in domain.lower()
        if plain and len(value) <= EMAIL_MAX_LENGTH:
            return f"{local}@{_ascii_domain(domain)}".lower()
        found = validate_email(value, check_deliverability=False)
    except EmailNotValidError:
        refuse(EmailMalformed(path=path))
    return f"{found.local_part}@{found.ascii_domain}".lower()


def forget_domains() -> None:
    """Remember no domain of an address: it may have been that of a person who was erased."""
    _ascii_domain.cache_clear()


@lru_cache(maxsize=10_000)
def _ascii_domain(domain: str) -> str:
    """Most people share one with others, and it is what nearly all of the library's work goes into."""
    return validate_email(f"a@{domain}", check_deliverability=False).ascii_domain


def _phone_number(value: str, path: Path, region: str | None) -> str:
    """E.164, with an extension as RFC 3966 writes it: two desks behind one number are two contact points."""
    try:
        number = phonenumbers.parse(value, region)
    except NumberParseException as fault:
        local = region is None and re.search(r"\d", value) is not None and "+" not in value
        if local and fault.error_type == NumberParseException.INVALID_COUNTRY_CODE:
            refuse(PhoneNeedsCountryCode(path=path))
        refuse(PhoneMalformed(path=path))
    # Possible, not allocated: number ranges open faster than anybody updates a library.
    if phonenumbers.is_possible_number_with_reason(number) != ValidationResult.IS_POSSIBLE:
        refuse(PhoneMalformed(path=path))
    extension = f";ext={number.extension}" if number.extension else ""
    return phonenumbers.format_number(number, PhoneNumberFormat.E164) + extension


def _web_address(value: str, path: Path) -> str:
    """With scheme (https where none is typed) and host in lower case; the default port and a bare `/` are left out."""
    try:
        parts = urlsplit(value if "://" in value else f"https://{value}")
        host, port, scheme = idna.encode(parts.hostname or "", uts46=True).decode(), parts.port, parts.scheme.lower()
    except (ValueError, idna.IDNAError):
        refuse(WebAddressMalformed(path=path))
    # An address that carries a password would end up on screens and in exports.
    if scheme not in _DEFAULT_PORTS or "." not in host or parts.username is not None or re.search(r"\s", value):
        refuse(WebAddressMalformed(path=path))
    place = host if port in (None, _DEFAULT_PORTS[scheme]) else f"{host}:{port}"
    return urlunsplit((scheme, place, "" if parts.path == "/" else parts.path, parts.query, parts.fragment))


_DEFAULT_PORTS = {"http": 80, "https": 443}


def complete_staff_email(command: S, path: Path) -> S:
    """A staff member's command with its `normalised_email`. Raises Refused where the address is malformed."""
    email = command.email
    found = None if email is None else email_address(email, (*path, "email"))
    return msgspec.structs.replace(command, normalised_email=found)
