"""Settings: their defaults, one clear error for each bad value, and the administrator's token."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from infra.private_files import PrivateFileError
from infra.settings import SettingsError, admin_token, read_settings

TOKEN = "correct-horse-battery-staple"


def test_without_environment_everything_has_a_default() -> None:
    settings = read_settings({"DAYBOOK_PORT": "  "})
    assert settings.data == Path.cwd() / ".daybook"
    assert (settings.host, settings.port) == ("127.0.0.1", 8000)
    assert settings.master_key_file == settings.data / "master.key"
    assert settings.signing_key_file == settings.data / "signing.key"
    assert settings.environment == "development"
    assert settings.database_url is None
    assert settings.one_key_file
    assert settings.allowed_hosts == ()
    assert (settings.documents, settings.trusted_only) == ((), False)
    assert (settings.cors_origins, settings.access_log) == ((), False)
    limits = (settings.cost_per_second, settings.connections_per_actor, settings.subscriptions_per_actor)
    assert limits == (20_000, 100, 1_000)
    assert settings.attested_per_second == 100
    assert (settings.oidc_issuer, settings.oidc_audience, settings.proxies) == (None, None, ())
    assert settings.admin_email == "administrator@daybook.example"


def test_everything_can_be_set() -> None:
    settings = read_settings(
        {
            "DAYBOOK_DATA": "/srv/book",
            "DAYBOOK_HOST": "[::1]",
            "DAYBOOK_PORT": "0",
            "DATABASE_URL": "postgresql://me:secret@db/crm",
            "DAYBOOK_ADMIN_TOKEN": TOKEN,
            "DAYBOOK_ADMIN_EMAIL": "Rosa@Acme.example",
            "DAYBOOK_ENV": "production",
            "DAYBOOK_MASTER_KEY_FILE": "/etc/daybook/key",
            "DAYBOOK_SIGNING_KEY_FILE": "/etc/daybook/signs",
            "DAYBOOK_ALLOWED_HOSTS": "CRM.example.com, 10.0.0.1",
            "DAYBOOK_DOCUMENTS": "/srv/web.json, /srv/mobile.json",
            "DAYBOOK_TRUSTED_ONLY": "yes",
            "DAYBOOK_ONE_KEY_FILE": "yes",
            "DAYBOOK_COST_PER_SECOND": "0",
            "DAYBOOK_CONNECTIONS_PER_ACTOR": "7",
            "DAYBOOK_SUBSCRIPTIONS_PER_ACTOR": "8",
            "DAYBOOK_ATTESTED_PER_SECOND": "0",
            "DAYBOOK_CORS_ORIGINS": "https://CRM.example.com, http://localhost:3000,http://[::1]:3000",
            "DAYBOOK_ACCESS_LOG": "off",
            "DAYBOOK_OIDC_ISSUER": "https://login.example.com/realms/acme",
            "DAYBOOK_OIDC_AUDIENCE": "daybook",
            "DAYBOOK_PROXIES": "127.0.0.1, 10.0.0.0/8",
        }
    )
    assert settings.data == Path("/srv/book")
    assert (settings.host, settings.port) == ("::1", 0)
    assert settings.database_url == "postgresql://me:secret@db/crm"
    assert settings.environment == "production"
    assert settings.master_key_file == Path("/etc/daybook/key")
    assert settings.signing_key_file == Path("/etc/daybook/signs")
    assert settings.allowed_hosts == ("crm.example.com", "10.0.0.1")
    assert settings.documents == (Path("/srv/web.json"), Path("/srv/mobile.json"))
    assert settings.trusted_only
    assert settings.one_key_file
    assert not read_settings({"DATABASE_URL": "postgresql://me@db/crm"}).one_key_file, "other hosts may have theirs"
    limits = (settings.cost_per_second, settings.connections_per_actor, settings.subscriptions_per_actor)
    assert limits == (0, 7, 8)
    assert settings.attested_per_second == 0
    assert settings.cors_origins == ("https://crm.example.com", "http://localhost:3000", "http://[::1]:3000")
    assert not settings.access_log
    assert read_settings({"DAYBOOK_ENV": "production"}).access_log
    assert (settings.oidc_issuer, settings.oidc_audience) == ("https://login.example.com/realms/acme", "daybook")
    assert settings.proxies == ("127.0.0.1", "10.0.0.0/8")
    assert admin_token(settings) == TOKEN
    assert settings.admin_email == "Rosa@Acme.example"
    assert "secret" not in repr(settings)
    assert TOKEN not in repr(settings)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DAYBOOK_OIDC_ISSUER", "https://login.example.com"),
        ("DAYBOOK_OIDC_AUDIENCE", "daybook"),
        ("DAYBOOK_PROXIES", "my-proxy"),
        ("DAYBOOK_PORT", "65536"),
        ("DAYBOOK_PORT", "-1"),
        ("DAYBOOK_PORT", "http"),
        ("DAYBOOK_PORT", "٨٠٠٠"),
        ("DAYBOOK_HOST", "http://here"),
        ("DAYBOOK_ENV", "staging"),
        ("DAYBOOK_TRUSTED_ONLY", "perhaps"),
        ("DAYBOOK_ONE_KEY_FILE", "true"),
        ("DATABASE_URL", "mysql://me:secret@db/crm"),
        ("DAYBOOK_ALLOWED_HOSTS", "https://crm.example.com"),
        ("DAYBOOK_ADMIN_TOKEN", "short"),
        ("DAYBOOK_ADMIN_EMAIL", "administrator"),
        ("DAYBOOK_COST_PER_SECOND", "-1"),
        ("DAYBOOK_CONNECTIONS_PER_ACTOR", "many"),
        ("DAYBOOK_SUBSCRIPTIONS_PER_ACTOR", "1.5"),
        ("DAYBOOK_ATTESTED_PER_SECOND", "none"),
        ("DAYBOOK_CORS_ORIGINS", "*"),
        ("DAYBOOK_CORS_ORIGINS", "https://crm.example.com,null"),
        ("DAYBOOK_CORS_ORIGINS", "crm.example.com"),
        ("DAYBOOK_CORS_ORIGINS", "https://crm.example.com/"),
        ("DAYBOOK_CORS_ORIGINS", "https://crm.example.com:443"),
        ("DAYBOOK_CORS_ORIGINS", "https://*.example.com"),
        ("DAYBOOK_CORS_ORIGINS", "https://me:secret@crm.example.com"),
        ("DAYBOOK_ACCESS_LOG", "yes"),
        ("DAYBOOK_ADMIN_TOKEN", "sixteen or more, with blanks"),
        ("DAYBOOK_ERASURE_DAYS", "36501"),
        ("DAYBOOK_DATA", "~no-such-account/book"),
    ],
)
def test_a_bad_value_names_its_variable_and_tells_no_secret(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name) as refused:
        read_settings({name: value})
    assert "secret" not in str(refused.value)


def test_days_until_files_hold_nothing_any_more_are_no_more_than_can_be_reckoned_with() -> None:
    assert read_settings({"DAYBOOK_ERASURE_DAYS": "36500"}).erasure_days == 36_500
    for value in ("3000000", "soon"):
        with pytest.raises(SettingsError, match="must be a whole number up to 36500, 0 for at once"):
            read_settings({"DAYBOOK_ERASURE_DAYS": value})


def test_the_token_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    settings = read_settings({"DAYBOOK_DATA": str(tmp_path / "above" / "book")})
    token = admin_token(settings)
    assert len(token) >= 40
    assert admin_token(settings) == token
    assert stat.S_IMODE((settings.data / "admin-token").stat().st_mode) == 0o600
    assert stat.S_IMODE(settings.data.stat().st_mode) == 0o700
    assert os.listdir(settings.data) == ["admin-token"]


def test_a_token_that_others_can_read_is_refused(tmp_path: Path) -> None:
    settings = read_settings({"DAYBOOK_DATA": str(tmp_path)})
    admin_token(settings)
    (tmp_path / "admin-token").chmod(0o644)
    with pytest.raises(PrivateFileError, match="chmod 600"):
        admin_token(settings)


@pytest.mark.parametrize("token", ["x", "sixteen or more, with blanks", "two-lines-of-it\ntwo-lines-of-it"])
def test_a_token_in_the_file_is_held_to_the_same(tmp_path: Path, token: str) -> None:
    settings = read_settings({"DAYBOOK_DATA": str(tmp_path)})
    file = tmp_path / "admin-token"
    file.touch(0o600)
    file.write_text(token)
    with pytest.raises(SettingsError, match=r"admin-token must have at least 16 .* remove the file"):
        admin_token(settings)
    file.write_text(f"{TOKEN}\n")
    assert admin_token(settings) == TOKEN


def test_processes_that_start_together_agree_on_the_token(tmp_path: Path) -> None:
    program = "from infra.settings import *; print(admin_token(read_settings()))"
    environment = os.environ | {"DAYBOOK_DATA": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    started = [
        subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env=environment)
        for _ in range(6)
    ]
    assert len({process.communicate()[0] for process in started}) == 1
    assert [process.returncode for process in started] == [0] * 6


@pytest.mark.parametrize(
    "issuer",
    [
        "login.example.com",
        "http://login.example.com",
        "http://localhost.example.com",
        "http://127.0.0.1@example.com",
        "https://user:secret@login.example.com",
        "https://login.example.com/?realm=acme",
        "file:///etc/passwd",
    ],
)
def test_an_identity_provider_is_asked_over_https_alone(issuer: str) -> None:
    with pytest.raises(SettingsError, match="DAYBOOK_OIDC_ISSUER"):
        read_settings({"DAYBOOK_OIDC_ISSUER": issuer, "DAYBOOK_OIDC_AUDIENCE": "daybook"})
    on_this_machine = {"DAYBOOK_OIDC_ISSUER": "http://localhost:8080/realms/acme", "DAYBOOK_OIDC_AUDIENCE": "daybook"}
    assert read_settings(on_this_machine).oidc_issuer == "http://localhost:8080/realms/acme"
