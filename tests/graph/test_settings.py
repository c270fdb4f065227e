"""Settings come from the environment; a wrong one stops the start and says how to mend it."""

import os

import pytest

from graph.settings import Environment, SettingsError, load_settings


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("PROVENANCE_") or name in ("HOST", "PORT"):
            monkeypatch.delenv(name)


def test_everything_is_optional_on_a_laptop() -> None:
    settings = load_settings()

    assert settings.env is Environment.DEVELOPMENT
    assert (settings.listen_on, settings.port) == ("127.0.0.1", 8000)
    assert settings.embedded
    assert settings.workers == 1
    assert settings.database_name == "provenance"


def test_production_listens_to_all_and_brings_no_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROVENANCE_ENV", "production")
    monkeypatch.setenv("PROVENANCE_DATABASE_URL", "mongodb://db.example")

    settings = load_settings()

    assert settings.listen_on == "0.0.0.0"
    assert settings.workers == 0


def test_an_empty_value_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROVENANCE_BUCKET", "")
    monkeypatch.setenv("PORT", "")

    assert (load_settings().bucket, load_settings().port) == (None, 8000)


def test_origins_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROVENANCE_ALLOWED_ORIGINS", "https://a.example, http://localhost:3000/")

    assert load_settings().allowed_origins == ("https://a.example", "http://localhost:3000")


def test_headers_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROVENANCE_ALLOWED_HEADERS", "X-Tenant, x-lab,")

    assert load_settings().allowed_headers == ("X-Tenant", "x-lab")


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("PROVENANCE_ENV", "prod", "PROVENANCE_ENV is 'prod'; allowed: development or production."),
        ("PORT", "80a", "PORT is '80a'; allowed: a number from 0 to 65535."),
        ("PORT", "70000", "PORT is '70000'; allowed: a number from 0 to 65535."),
        ("PROVENANCE_WORKERS", "-1", "PROVENANCE_WORKERS is '-1'; allowed: a number from 0 to 64."),
        ("PROVENANCE_BUCKET", "s3://b", "PROVENANCE_BUCKET is 's3://b'; allowed: gs://name or gs://name/prefix."),
        ("PROVENANCE_DATABASE_NAME", "a/b", "PROVENANCE_DATABASE_NAME is 'a/b'; allowed: 1 to 63 letters, digits"),
        ("PROVENANCE_ALLOWED_ORIGINS", "lab.example", "PROVENANCE_ALLOWED_ORIGINS is 'lab.example'; allowed: origins"),
        (
            "PROVENANCE_ALLOWED_HEADERS",
            "X Tenant",
            "PROVENANCE_ALLOWED_HEADERS is 'X Tenant'; allowed: at most 100 names",
        ),
        ("PROVENANCE_ALLOWED_HEADERS", "*", "PROVENANCE_ALLOWED_HEADERS is '*'; allowed: at most 100 names of header"),
        ("PROVENANCE_ALLOWED_HEADERS", "x," * 101, "PROVENANCE_ALLOWED_HEADERS is 'x,x,"),
        ("PROVENANCE_OIDC_ISSUER", "http://id.example", "PROVENANCE_OIDC_ISSUER is 'http://id.example'; allowed: an"),
        ("PROVENANCE_OIDC_ISSUER", "https://id.example", "PROVENANCE_OIDC_AUDIENCE must be set with"),
        ("PROVENANCE_EVENTS_AUDIENCE", "https://g.example", "PROVENANCE_EVENTS_AUDIENCE and PROVENANCE_EVENTS_ACCOUNT"),
        (
            "PROVENANCE_EVENTS_ACCOUNT",
            "a@b.example",
            "PROVENANCE_EVENTS_AUDIENCE and PROVENANCE_EVENTS_ACCOUNT must be",
        ),
        (
            "PROVENANCE_EVENTS_ACCOUNT",
            "nobody",
            "PROVENANCE_EVENTS_ACCOUNT is 'nobody'; allowed: the email address of a",
        ),
        ("PROVENANCE_LOG_LEVEL", "loud", "PROVENANCE_LOG_LEVEL is 'loud'; allowed: debug, info, warning or error."),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, message: str
) -> None:
    monkeypatch.setenv(variable, value)

    with pytest.raises(SettingsError) as refused:
        load_settings()

    assert str(refused.value).startswith(message)


@pytest.mark.parametrize(
    ("variable", "value"),
    [("PROVENANCE_ADMIN_TOKEN", "canary-too-short"), ("PROVENANCE_DATABASE_URL", "postgres://u:canary@db")],
)
def test_a_wrong_secret_is_named_but_not_shown(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(variable, value)

    with pytest.raises(SettingsError) as refused:
        load_settings()

    assert str(refused.value).startswith(f"{variable} has a value that cannot be used; allowed: ")
    assert "canary" not in str(refused.value)
    assert refused.value.__context__ is None


def test_all_wrong_values_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "x")
    monkeypatch.setenv("PROVENANCE_ENV", "x")

    with pytest.raises(SettingsError) as refused:
        load_settings()

    assert len(str(refused.value).splitlines()) == 2


def test_production_needs_a_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROVENANCE_ENV", "production")

    with pytest.raises(SettingsError, match="PROVENANCE_DATABASE_URL must be set when PROVENANCE_ENV=production"):
        load_settings()


def test_a_misspelt_variable_is_pointed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROVENANCE_DATABSE_URL", "mongodb://db.example")
    warnings: list[str] = []

    load_settings(warnings.append)

    assert warnings == ["PROVENANCE_DATABSE_URL is not a setting and is ignored. Did you mean PROVENANCE_DATABASE_URL?"]


def test_secrets_do_not_show_when_settings_are_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROVENANCE_ADMIN_TOKEN", "canary" * 6)
    monkeypatch.setenv("PROVENANCE_DATABASE_URL", "mongodb://u:canary@db.example")

    assert "canary" not in repr(load_settings()) + str(load_settings().model_dump())
