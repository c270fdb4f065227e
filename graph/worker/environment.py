"""What a command finds in its environment."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from graph.worker.claimed import Claimed
from graph.worker.options import TOKEN, URL, Options
from graph.worker.place import Place

GIVEN = {
    "PROVENANCE_ACTIVITY_ID": "id of the step or transform",
    "PROVENANCE_KIND": "`STEP` or `TRANSFORM`",
    "PROVENANCE_ATTEMPT": "which attempt it is, from 1",
    "PROVENANCE_INPUT_DIR": "of a step: a folder for each step that it waits for, named by its key, with its outputs",
    "PROVENANCE_OUTPUT_DIR": "an empty folder; of a step, what is in it in the end is uploaded",
    "PROVENANCE_PARAMETERS": "all parameters as a JSON object",
    "PROVENANCE_ACTIVITY_FILE": "a JSON file with all of this, the frozen code, and what made a transform due",
    "PROVENANCE_STEP_KEY": "of a step: its key within the execution",
    "PROVENANCE_EXECUTION_ID": "of a step: id of its execution",
    "PROVENANCE_COMPONENT": "of a step: name of the component",
    "PROVENANCE_VERSION": "of a step: the component's version",
    "PROVENANCE_IMAGE": "of a step: the image that the component's description names, if any",
    "PROVENANCE_PORTS": "of a step: its ports, such as `8501:8501`, with blanks between",
    "PROVENANCE_INPUTS": "of a step: its `inputs` as JSON, if any",
    "PROVENANCE_RESOURCE_ID": "of a transform: id of its resource",
    "PROVENANCE_REPOSITORY": "the first of the frozen code: repository …",
    "PROVENANCE_COMMIT": "… commit …",
    "PROVENANCE_PATH": "… and file, if any",
    "PROVENANCE_WORKER": "the worker's name",
    "PROVENANCE_URL": "where the server is",
}
"""What the worker sets itself, and what each is. Parameters come beside them, each under its own name."""

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
NOT_BY_PARAMETER = re.compile(
    r"PROVENANCE_.*|LD_.*|DYLD_.*|BASH.*|PYTHON.*|PERL.*|RUBY.*|JAVA_.*|_JAVA_.*|JDK_.*|NODE_.*|GIT_.*|DOCKER_.*"
    r"|PATH|ENV|IFS|HOME|SHELL|SHELLOPTS|CDPATH|TMPDIR|PS4|PWD|[a-z]*_proxy|[A-Z]*_PROXY"
)
"""What decides which code runs, and where: that is for who starts the worker, not for who asks for an execution."""
LONGEST_VALUE = 100_000
"""Bytes; Linux takes 128 KiB. What is longer is in the files alone."""


def environment(claimed: Claimed, place: Place, options: Options, inherited: Mapping[str, str]) -> dict[str, str]:
    """The variables of a command: the worker's own environment, the parameters, and what GIVEN names.

    Of the worker's environment nothing is passed on that begins with PROVENANCE_, but the token when that is wanted.
    """
    own = {name: value for name, value in inherited.items() if not name.startswith("PROVENANCE_")}
    parameters = {
        name: _text(value)
        for name, value in claimed.parameters.items()
        if NAME.fullmatch(name) and not NOT_BY_PARAMETER.fullmatch(name) and value is not None
    }
    given = _given(claimed, place, options)
    if options.pass_token:
        given[TOKEN] = options.token
    return {name: value for name, value in (own | parameters | given).items() if _fits(value)}


def write_activity_file(claimed: Claimed, place: Place, options: Options) -> None:
    """Leave all that is known of the activity beside the command's folders."""
    place.activity_file.write_bytes(orjson.dumps(claimed.told | {"worker": options.name}, option=orjson.OPT_INDENT_2))


def _given(claimed: Claimed, place: Place, options: Options) -> dict[str, str]:
    told = claimed.told
    code = (told["code"] or [{}])[0]
    found = {
        "ACTIVITY_ID": claimed.id,
        "KIND": "STEP" if claimed.is_step else "TRANSFORM",
        "ATTEMPT": claimed.attempt,
        "OUTPUT_DIR": place.outputs,
        "PARAMETERS": _json(claimed.parameters),
        "ACTIVITY_FILE": place.activity_file,
        "REPOSITORY": code.get("repository"),
        "COMMIT": code.get("commit"),
        "PATH": code.get("path"),
        "WORKER": options.name,
    }
    found |= _of_step(told, place) if claimed.is_step else {"RESOURCE_ID": told["resource"]["id"]}
    given = {f"PROVENANCE_{name}": str(value) for name, value in found.items() if value is not None}
    return given | {URL: options.url}


def _of_step(told: dict[str, Any], place: Place) -> dict[str, str | Path | None]:
    version = told["componentVersion"]
    return {
        "INPUT_DIR": place.inputs,
        "STEP_KEY": told["key"],
        "EXECUTION_ID": told["execution"]["id"],
        "COMPONENT": version["component"]["componentName"],
        "VERSION": version["version"],
        "IMAGE": version["dockerHubLink"],
        "PORTS": " ".join(told["ports"]),
        "INPUTS": None if told["inputs"] is None else _json(told["inputs"]),
    }


def _text(value: Any) -> str:
    """A parameter as a shell reads it: a text as it is, everything else as JSON."""
    return value if isinstance(value, str) else _json(value)


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


def _fits(value: str) -> bool:
    return "\0" not in value and len(os.fsencode(value)) <= LONGEST_VALUE
