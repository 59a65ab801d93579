"""What an operator can set, read from the environment once."""

import ipaddress
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from domain.kernel import Refused
from infra.contacts import email_address
from infra.private_files import secret

ERASURE_DAYS = 30
_MOST_DAYS = 36_500
"""A hundred years: reckoned from any day of ours, they end at one that there is."""
COST_PER_SECOND, CONNECTIONS_PER_ACTOR, SUBSCRIPTIONS_PER_ACTOR = 20_000, 100, 1_000
"""More than anybody needs at a screen: 20,000 points are twenty-eight boards of 50 customers, each second."""
ADMIN_EMAIL = "administrator@daybook.example"
"""Nobody can own a domain below `example`: no provider can verify it as somebody's, and no mail to it arrives."""
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]{16,}=*")
"""What RFC 6750 lets a bearer token be made of, and long enough not to be guessed."""
_TOKENS = "must have at least 16 characters, each a letter, a digit or one of . _ ~ + / - (and = at its end)"

ATTESTED_PER_SECOND = 100


class SettingsError(Exception):
    """A setting has a value that can't be used; the message names the variable and says what it takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where the book lies and where it is served. Secrets stay out of the representation."""

    data: Path
    """Everything that we keep on disk: keys, the administrator's token, the erasure ledger, the embedded PostgreSQL."""
    host: str = "127.0.0.1"
    port: int = 8000
    database_url: str | None = field(default=None, repr=False)
    """None: an embedded PostgreSQL under `data`."""
    environment: Literal["development", "production"] = "development"
    master_key_file: Path
    signing_key_file: Path
    erasure_ledger: Path
    """What was erased, kept apart from the database: no backup brings it back."""
    erasure_days: int = ERASURE_DAYS
    """Until when no file may hold any more what was erased."""
    one_key_file: bool = True
    """Whether every process of this book reads this key file, so that what finishes an erasure may rotate it."""
    allowed_hosts: tuple[str, ...] = ()
    """Host names, beside our own, that a request may be addressed to."""
    documents: tuple[Path, ...] = ()
    """Manifests of trusted documents."""
    trusted_only: bool = False
    """Whether other documents are refused."""
    cost_per_second: int = COST_PER_SECOND
    """Points of cost that each actor gets back of each process; 0: nobody is throttled."""
    connections_per_actor: int = CONNECTIONS_PER_ACTOR
    """WebSockets that each actor may have open to each process; 0: any number."""
    subscriptions_per_actor: int = SUBSCRIPTIONS_PER_ACTOR
    """Subscriptions, over WebSockets or not; 0: any number."""
    attested_per_second: int = ATTESTED_PER_SECOND
    """Entries that the leader of the projections folds again to compare them with the read models; 0: none."""
    cors_origins: tuple[str, ...] = ()
    """Whose pages may call us from a browser."""
    access_log: bool = False
    """Whether each request leaves a line in the log."""
    oidc_issuer: str | None = None
    """The company's identity provider, whose tokens let staff members in; None: there is none."""
    oidc_audience: str | None = None
    """Whom its tokens must be made for; there where the issuer is."""
    proxies: tuple[str, ...] = ()
    """Addresses of proxies that are believed about whose requests they pass on."""
    admin_email: str = ADMIN_EMAIL
    """The e-mail address of the administrator that a new book begins with."""
    given_admin_token: str | None = field(default=None, repr=False)
    """The token from the environment; `admin_token()` gives the one that counts."""


def read_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """The settings; raises SettingsError for the first that can't be used. An empty variable counts as not set."""
    given = {name: value.strip() for name, value in environment.items() if value.strip()}
    data = _path(given, "DAYBOOK_DATA", Path(".daybook"))
    kind = _environment(given.get("DAYBOOK_ENV", "development"))
    issuer, audience = _provider(given)
    return Settings(
        data=data,
        host=_host(given.get("DAYBOOK_HOST", "127.0.0.1")),
        port=_port(given.get("DAYBOOK_PORT", "8000")),
        database_url=_database_url(given.get("DATABASE_URL")),
        environment=kind,
        master_key_file=_path(given, "DAYBOOK_MASTER_KEY_FILE", data / "master.key"),
        signing_key_file=_path(given, "DAYBOOK_SIGNING_KEY_FILE", data / "signing.key"),
        erasure_ledger=_path(given, "DAYBOOK_ERASURE_LEDGER", data / "erasures.jsonl"),
        erasure_days=_number(given, "DAYBOOK_ERASURE_DAYS", ERASURE_DAYS, "for at once", _MOST_DAYS),
        one_key_file=_switch("DAYBOOK_ONE_KEY_FILE", given.get("DAYBOOK_ONE_KEY_FILE", _alone(given))),
        allowed_hosts=_allowed_hosts(given.get("DAYBOOK_ALLOWED_HOSTS", "")),
        documents=_documents(given.get("DAYBOOK_DOCUMENTS", "")),
        trusted_only=_switch("DAYBOOK_TRUSTED_ONLY", given.get("DAYBOOK_TRUSTED_ONLY", "no")),
        cost_per_second=_number(given, "DAYBOOK_COST_PER_SECOND", COST_PER_SECOND),
        connections_per_actor=_number(given, "DAYBOOK_CONNECTIONS_PER_ACTOR", CONNECTIONS_PER_ACTOR),
        subscriptions_per_actor=_number(given, "DAYBOOK_SUBSCRIPTIONS_PER_ACTOR", SUBSCRIPTIONS_PER_ACTOR),
        attested_per_second=_number(given, "DAYBOOK_ATTESTED_PER_SECOND", ATTESTED_PER_SECOND, zero="for none"),
        cors_origins=_cors_origins(given.get("DAYBOOK_CORS_ORIGINS", "")),
        access_log=_access_log(given.get("DAYBOOK_ACCESS_LOG"), kind),
        oidc_issuer=issuer,
        oidc_audience=audience,
        proxies=_proxies(given.get("DAYBOOK_PROXIES", "")),
        admin_email=_admin_email(given.get("DAYBOOK_ADMIN_EMAIL", ADMIN_EMAIL)),
        given_admin_token=_admin_token(given.get("DAYBOOK_ADMIN_TOKEN")),
    )


def admin_token(settings: Settings) -> str:
    """The administrator's token: the given one, else the one in the data directory, which the first call makes.

    Raises PrivateFileError where that file can't be read or trusted, and SettingsError where it holds no such token.
    """
    if settings.given_admin_token is not None:
        return settings.given_admin_token
    file = settings.data / "admin-token"
    token = secret(file, lambda: secrets.token_urlsafe(32))
    if not _TOKEN.fullmatch(token):
        raise SettingsError(
            f"The token in {file} {_TOKENS}. Put such a one there, or remove the file to have one made anew."
        )
    return token


def _path(given: Mapping[str, str], name: str, default: Path) -> Path:
    try:
        # Absolute, so that a later change of directory (a worker's, a daemon's) does not open another book.
        return Path(given.get(name, default)).expanduser().absolute()
    except RuntimeError:
        raise SettingsError(f"{name} begins with the home directory of an account that does not exist here.") from None


def _host(value: str) -> str:
    if re.search(r"[\s/@]", value):
        raise SettingsError(f"DAYBOOK_HOST is {value!r}, but must be the host name or address to listen on.")
    return value.removeprefix("[").removesuffix("]")


def _port(value: str) -> int:
    # 0 is any free port: the server prints the one that it got.
    if not re.fullmatch(r"[0-9]{1,5}", value) or int(value) > 65535:
        raise SettingsError(f"DAYBOOK_PORT is {value!r}, but must be a number from 0 to 65535.")
    return int(value)


def _database_url(value: str | None) -> str | None:
    # The value itself is not repeated: it may hold a password.
    if value is not None and not re.match(r"postgres(ql)?://", value):
        raise SettingsError(
            "DATABASE_URL must begin with postgresql:// (postgresql://user:password@host:5432/database)."
        )
    return value


def _alone(given: Mapping[str, str]) -> str:
    # On a PostgreSQL of somebody's other hosts may work too, each with a copy of the key file that we can't reach.
    return "no" if "DATABASE_URL" in given else "yes"


def _environment(value: str) -> Literal["development", "production"]:
    match value:
        case "development" | "production":
            return value
        case _:
            raise SettingsError(f"DAYBOOK_ENV is {value!r}, but must be development or production.")


def _allowed_hosts(value: str) -> tuple[str, ...]:
    hosts = tuple(host.strip().lower() for host in value.split(",") if host.strip())
    for host in hosts:
        if not re.fullmatch(r"[a-z0-9._-]+|\[?[0-9a-f:.]+\]?", host):
            raise SettingsError(
                f"DAYBOOK_ALLOWED_HOSTS names {host!r}, but takes host names without scheme, port or path,"
                " separated by commas (crm.example.com,crm.internal)."
            )
    return hosts


def _documents(value: str) -> tuple[Path, ...]:
    files = [file.strip() for file in value.split(",") if file.strip()]
    return tuple(_path({"DAYBOOK_DOCUMENTS": file}, "DAYBOOK_DOCUMENTS", Path()) for file in files)


def _number(
    given: Mapping[str, str], name: str, default: int, zero: str = "for no limit", most: int = 999_999_999
) -> int:
    value = given.get(name, str(default))
    if not re.fullmatch(r"[0-9]{1,9}", value) or int(value) > most:
        raise SettingsError(f"{name} is {value!r}, but must be a whole number up to {most}, 0 {zero}.")
    return int(value)


def _cors_origins(value: str) -> tuple[str, ...]:
    origins = tuple(origin.strip().lower() for origin in value.split(",") if origin.strip())
    for origin in origins:
        if origin in ("*", "null"):
            raise SettingsError(
                f"DAYBOOK_CORS_ORIGINS names {origin}, which is anybody's page: name each origin by itself"
                " (https://crm.example.com)."
            )
        if not re.fullmatch(r"https?://([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?", origin):
            raise SettingsError(
                f"DAYBOOK_CORS_ORIGINS names {origin.rpartition('@')[2]!r}, but takes origins as browsers send them,"
                " scheme, host and port without a path, separated by commas"
                " (https://crm.example.com,http://localhost:3000)."
            )
        if re.search(r"^http://.*:80$|^https://.*:443$", origin):
            raise SettingsError(
                f"DAYBOOK_CORS_ORIGINS names {origin!r}, but browsers leave out the port that belongs to the scheme:"
                f" {origin.rpartition(':')[0]}"
            )
    return origins


def _access_log(value: str | None, environment: str) -> bool:
    if value not in (None, "on", "off"):
        raise SettingsError(f"DAYBOOK_ACCESS_LOG is {value!r}, but must be on or off.")
    return value == "on" or (value is None and environment == "production")


def _switch(name: str, value: str) -> bool:
    if value not in ("yes", "no"):
        raise SettingsError(f"{name} is {value!r}, but must be yes or no.")
    return value == "yes"


def _provider(given: Mapping[str, str]) -> tuple[str | None, str | None]:
    issuer, audience = given.get("DAYBOOK_OIDC_ISSUER"), given.get("DAYBOOK_OIDC_AUDIENCE")
    if (issuer is None) != (audience is None):
        raise SettingsError(
            "DAYBOOK_OIDC_ISSUER and DAYBOOK_OIDC_AUDIENCE belong together: who makes the tokens, and whom they must be"
            " made for. Set both or neither."
        )
    loopback = r"http://(localhost|127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?(/[^\s?#]*)?"
    if issuer is not None and not re.fullmatch(rf"https://[^\s/?#@]+(/[^\s?#]*)?|{loopback}", issuer):
        raise SettingsError(
            f"DAYBOOK_OIDC_ISSUER is {issuer!r}, but must be the provider's HTTPS address as its tokens say it in `iss`"
            " (https://login.example.com/realms/acme); plain HTTP is for a provider on this machine only."
        )
    return issuer, audience


def _proxies(value: str) -> tuple[str, ...]:
    proxies = tuple(proxy.strip() for proxy in value.split(",") if proxy.strip())
    for proxy in proxies:
        try:
            ipaddress.ip_network(proxy, strict=False)
        except ValueError:
            raise SettingsError(
                f"DAYBOOK_PROXIES names {proxy!r}, but takes addresses or networks, separated by commas"
                " (127.0.0.1,10.0.0.0/8)."
            ) from None
    return proxies


def _admin_email(value: str) -> str:
    try:
        email_address(value)
    except Refused:
        raise SettingsError(
            f"DAYBOOK_ADMIN_EMAIL is {value!r}, but must be an e-mail address such as administrator@example.com."
        ) from None
    return value


def _admin_token(value: str | None) -> str | None:
    if value is not None and not _TOKEN.fullmatch(value):
        raise SettingsError(f"DAYBOOK_ADMIN_TOKEN {_TOKENS}.")
    return value
