"""The commands that are no servers, as somebody types them."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from documents.embedded_mongod.server import EmbeddedMongo
from documents.migrations import STEPS
from documents.migrations.step_list import newest_version
from graph.commands.breaking_changes import ON_PURPOSE
from graph.commands.main import app
from graph.settings import Settings, variable_of
from tests.support.running import COMMAND, ROOT, command, environment, on_database, running

PUBLISHED = ROOT / "schema.graphql"
CREATE_ORGANISATION = """mutation {
  createOrganisation(input: {url: "https://office.example"}) { organisation { id } userErrors { code } } }"""
CREATE_USER = 'mutation{createUser(input:{displayName:"ada",email:"ada@people.example"}){user{id} userErrors{message}}}'
VIEWER = "{viewer{role user{displayName}}}"
MINUTE = r"\d{4}-\d\d-\d\d \d\d:\d\d"


def typed(*words: str) -> Result:
    """Run a command within this process, because starting one takes seconds."""
    return CliRunner().invoke(app, list(words), prog_name="provenance-graph")


@pytest.mark.parametrize(
    "words",
    [
        "",
        "serve",
        "demo",
        "migrate",
        "schema",
        "check-schema",
        "token create",
        "import odtp",
        "import catalogue",
        "export parquet",
        "export list",
        "upload",
    ],
)
def test_help_is_given_without_a_database(words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROVENANCE_DATABASE_URL", "mongodb://127.0.0.1:1")

    done = typed(*words.split(), "--help")

    assert done.exit_code == 0
    assert done.stdout.startswith(f"Usage: provenance-graph {words}".rstrip())


def test_no_command_waits_for_packages_that_only_others_need() -> None:
    asked = (
        "import sys, graph.commands.main; print({'beanie', 'documents', 'graphql', 'pymongo', 'strawberry'} & "
        "{*sys.modules})"
    )

    done = subprocess.run([sys.executable, "-c", asked], cwd=ROOT, capture_output=True, text=True, check=True)

    assert done.stdout == "set()\n"


def test_the_help_of_serve_lists_every_setting_with_what_it_may_hold() -> None:
    shown = typed("serve", "--help").stdout

    listed = dict(re.findall(r"^    ([A-Z_]+) +(\S.*)$", shown, re.MULTILINE))
    assert set(listed) == {variable_of(name) for name in Settings.model_fields}
    assert listed["PORT"] == "a number from 0 to 65535"


def test_the_published_schema_is_what_is_printed(tmp_path: Path) -> None:
    printed = command("schema", env=environment(tmp_path))
    written = typed("schema", "--output", str(tmp_path / "schema.graphql"))

    assert printed.stdout == PUBLISHED.read_text()
    assert (written.stdout, (tmp_path / "schema.graphql").read_text()) == ("", printed.stdout)


def test_a_change_that_breaks_clients_is_named(tmp_path: Path) -> None:
    relied_on = tmp_path / "old.graphql"
    relied_on.write_text(PUBLISHED.read_text().replace("type Viewer {", "type Viewer {\n  nickname: String\n"))

    done = typed("check-schema", str(relied_on))

    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        "breaking: Field Viewer.nickname was removed.",
        f"Clients of {relied_on} would break.",
    ]


def test_a_change_that_was_made_on_purpose_says_what_to_do_instead(tmp_path: Path) -> None:
    relied_on, served = tmp_path / "old.graphql", PUBLISHED.read_text()
    before = served.replace("): InputFileConnection!", "): [InputFile!]!").replace(
        "UpdateResultPayload", "ResultPayload"
    )
    relied_on.write_text(before.replace("type Viewer {", "type Viewer {\n  nickname: String\n"))

    payloads, input_files, *_ = ON_PURPOSE.values()

    done = typed("check-schema", str(relied_on))

    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        "breaking: Field Viewer.nickname was removed.",
        "breaking, on purpose: ResultPayload was removed.",
        "breaking, on purpose: Field Mutation.updateResult changed type from ResultPayload! to UpdateResultPayload!.",
        f"  instead: {payloads}",
        "breaking, on purpose: Field Step.inputFiles changed type from [InputFile!]! to InputFileConnection!.",
        f"  instead: {input_files}",
        f"Clients of {relied_on} would break.",
    ]


def test_a_schema_whose_clients_are_safe_is_told_from_one_that_cannot_be_read(tmp_path: Path) -> None:
    no_schema = tmp_path / "no.graphql"
    no_schema.write_text("type Query { a: Nowhere }")

    whole = typed("check-schema", str(PUBLISHED))
    missing = typed("check-schema", str(tmp_path / "nowhere"))
    senseless = typed("check-schema", str(no_schema))

    assert (whole.exit_code, whole.stderr) == (0, f"Nothing breaks for clients of {PUBLISHED}.\n")
    assert (missing.exit_code, missing.stderr) == (
        2,
        f"{tmp_path / 'nowhere'} cannot be read: No such file or directory.\n",
    )
    assert senseless.exit_code == 2
    assert senseless.stderr.startswith(f"{no_schema} is not a GraphQL schema: ")


def test_a_token_is_good_from_its_making_until_it_is_revoked(mongod: EmbeddedMongo, tmp_path: Path) -> None:
    env = environment(tmp_path, on_database(mongod.uri, "test_commands"))
    migrated = command("migrate", env=env)
    with running(*COMMAND, "serve", env=env) as server:
        user = server.ask(CREATE_USER)["createUser"]["user"]["id"]
        made = command("token", "create", "ada's laptop", "--user", user, env=env)
        worker = command("token", "create", "a pipeline", "--role", "worker", "--days", "1", env=env)
        secrets = [done.stdout.strip() for done in (made, worker)]
        known = [seen(server.post(VIEWER, authorization=f"Bearer {secret}")) for secret in secrets]
        listed = command("token", "list", env=env | {"COLUMNS": "80"})
        id = re.findall(r"token_\w+", made.stderr)[0]
        revoked = command("token", "revoke", id, env=env)
        refused = server.post(VIEWER, authorization=f"Bearer {secrets[0]}")
        log = server.log

    assert migrated.returncode == 0
    assert migrated.stderr.splitlines()[-1] == (
        f"Database test_commands is at schema version {newest_version(STEPS)} and has all its indexes."
    )
    assert known == [
        {"role": "USER", "user": {"displayName": "ada"}},
        {"role": "WORKER", "user": None},
    ]
    newest, _, first, facts, more_facts = listed.stdout.splitlines()
    assert newest.endswith("  WORKER  a pipeline")
    assert first == f"{id}  USER  ada's laptop"
    assert re.fullmatch(rf"  for {user}, created {MINUTE},", facts)
    assert re.fullmatch(rf"  last used {MINUTE}", more_facts)
    assert [secret for secret in secrets if secret in listed.stdout + listed.stderr + log] == []
    assert (revoked.returncode, revoked.stderr) == (0, f"{id} is revoked.\n")
    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
    assert refused.json()["errors"][0]["extensions"] == {"code": "UNAUTHENTICATED"}


def test_a_worker_is_bound_to_an_organisation_by_the_command(mongod: EmbeddedMongo, tmp_path: Path) -> None:
    env = environment(tmp_path, on_database(mongod.uri, "test_bound_by_command"))
    with running(*COMMAND, "serve", env=env) as server:
        created = server.ask(CREATE_ORGANISATION)["createOrganisation"]["organisation"]["id"]
        made = command("token", "create", "theirs", "--role", "worker", "--organisation", created, env=env)
        listed = command("token", "list", env=env | {"COLUMNS": "80"})
        refused = server.post(CREATE_ORGANISATION, authorization=f"Bearer {made.stdout.strip()}").json()

    assert made.returncode == 0, made.stderr
    assert f"  bound to {created}, created " in listed.stdout
    assert refused["data"]["createOrganisation"]["userErrors"] == [{"code": "FORBIDDEN"}]


def seen(response: Any) -> Any:
    return response.json()["data"]["viewer"]


@pytest.mark.parametrize(
    ("arguments", "said", "code"),
    [
        (("create", "nobody's"), "A USER token needs a user.", 2),
        (
            ("create", "x", "--user", "user_000000000000000000000000"),
            "No User with id user_000000000000000000000000.",
            1,
        ),
        (("create", "x", "--role", "anonymous"), "'anonymous' is not one of 'user', 'worker', 'admin'.", 2),
        (
            ("create", "x", "--resource", "resource_x", "--user", "user_x"),
            "Only WORKER tokens can be bound, not those",
            2,
        ),
        (
            ("create", "x", "--role", "worker", "--organisation", "organisation_x"),
            "No Organisation with id",
            1,
        ),
        (("revoke", "token_000000000000000000000000"), "No Token with id token_000000000000000000000000.", 1),
    ],
)
def test_what_a_token_cannot_be_is_told(
    mongod: EmbeddedMongo, tmp_path: Path, arguments: tuple[str, ...], said: str, code: int
) -> None:
    done = command("token", *arguments, env=environment(tmp_path, on_database(mongod.uri, "test_commands")))

    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr
