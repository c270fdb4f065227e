"""The files that deploy the server: what they start is there, and is set as the code expects."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from graph.commands.main import app
from graph.settings import PREFIX, Settings
from tests.support.needs import need

ROOT = Path(__file__).resolve().parents[1]
COMPOSE, CLOUD_RUN = ROOT / "deploy/compose.yaml", ROOT / "deploy/cloudrun.yaml"


def cloud_run_container() -> Any:
    (container,) = yaml.safe_load(CLOUD_RUN.read_text())["spec"]["template"]["spec"]["containers"]
    return container


def own_services() -> dict[str, Any]:
    """The services of the compose file that run the image."""
    services = yaml.safe_load(COMPOSE.read_text())["services"]
    return {name: service for name, service in services.items() if service["image"] == "provenance-graph"}


def commands() -> dict[str, list[str]]:
    """The commands that are run, by where."""
    return {name: service["command"] for name, service in own_services().items()} | {
        "Cloud Run": cloud_run_container()["args"]
    }


def test_compose_accepts_its_file_once_there_is_a_token_for_the_administrator() -> None:
    command = [need("docker-compose"), "--file", str(COMPOSE), "config", "--quiet"]

    accepted = subprocess.run(
        command, env={"PROVENANCE_ADMIN_TOKEN": "x" * 32}, capture_output=True, text=True, check=False
    )
    refused = subprocess.run(command, env={}, capture_output=True, text=True, check=False)

    assert (accepted.returncode, accepted.stderr) == (0, "")
    assert refused.returncode == 1
    assert "must be at least 32 random characters" in refused.stderr


@pytest.mark.parametrize("place", commands())
def test_each_command_is_one_of_ours_with_options_that_it_has(place: str) -> None:
    name, *options = commands()[place]

    known = typer.main.get_command(app).commands  # type: ignore[attr-defined]

    assert name in known
    assert set(options) <= {option for parameter in known[name].params for option in parameter.opts}


def test_all_variables_are_settings_or_the_emulators() -> None:
    named = {name for service in own_services().values() for name in service["environment"]}
    named |= {variable["name"] for variable in cloud_run_container()["env"]}

    settings = {field.validation_alias or PREFIX + name.upper() for name, field in Settings.model_fields.items()}

    assert named - settings == {"STORAGE_EMULATOR_HOST"}
    assert {"PROVENANCE_DATABASE_URL", "PROVENANCE_BUCKET", "PROVENANCE_ADMIN_TOKEN"} <= named


def test_ports_are_those_on_which_the_image_listens() -> None:
    container, server = cloud_run_container(), own_services()["server"]
    (listens_on,) = re.findall(r"^EXPOSE (\d+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)

    assert [str(port["containerPort"]) for port in container["ports"]] == [listens_on]
    assert server["ports"] == [f"127.0.0.1:8000:{listens_on}"]
    assert {str(container[probe]["httpGet"]["port"]) for probe in ("startupProbe", "livenessProbe")} == {listens_on}


def test_a_release_that_does_not_fit_the_schema_takes_no_requests_and_one_that_lives_is_left_alone() -> None:
    container, services = cloud_run_container(), own_services()

    assert container["startupProbe"]["httpGet"]["path"] == "/readyz"
    assert container["livenessProbe"]["httpGet"]["path"] == "/livez"
    for name in ("server", "ingest"):
        assert services[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}


def test_nothing_but_this_machine_reaches_what_compose_starts() -> None:
    services = yaml.safe_load(COMPOSE.read_text())["services"]
    ports = [port for service in services.values() for port in service.get("ports", ())]

    assert len(ports) == 2
    assert all(port.startswith("127.0.0.1:") for port in ports)
