"""The environment of a command."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from graph.clients.worker.claimed_activity import ClaimedActivity
from graph.clients.worker.options import TOKEN, URL, Options
from graph.clients.worker.workspace import Workspace

ENVIRONMENT_VARIABLES = {
    "PROVENANCE_ACTIVITY_ID": "id of the step or transform",
    "PROVENANCE_KIND": "`STEP` or `TRANSFORM`",
    "PROVENANCE_ATTEMPT": "number of the attempt, from 1",
    "PROVENANCE_INPUT_DIR": "of a step: a folder for each step that it depends on, named by its key, with its outputs, "
    "and one for each `stepKey` of the files that it was told to use",
    "PROVENANCE_OUTPUT_DIR": "an empty folder; of a step, the files in it at the end are uploaded",
    "PROVENANCE_PARAMETERS_FILE": "a file with all parameters as a JSON object",
    "PROVENANCE_PARAMETERS": "the same JSON object, unless it is too large for a variable",
    "PROVENANCE_ACTIVITY_FILE": "a JSON file with all of this, the frozen code, and the cause of a transform",
    "PROVENANCE_USED": "a file to which the command adds what it reads: a URL, an id or a path on each line",
    "PROVENANCE_STEP_KEY": "of a step: its key within the execution",
    "PROVENANCE_EXECUTION_ID": "of a step: id of its execution",
    "PROVENANCE_COMPONENT": "of a step: name of the component",
    "PROVENANCE_VERSION": "of a step: the component's version",
    "PROVENANCE_IMAGE": "of a step: the image that the component's description names, if any",
    "PROVENANCE_PORTS": "of a step: its ports, such as `8501:8501`, with blanks between",
    "PROVENANCE_INPUTS": "of a step: its `inputs` as JSON, if any, unless they are too large for a variable",
    "PROVENANCE_RESOURCE_ID": "of a transform: id of its resource",
    "PROVENANCE_REPOSITORY": "the first of the frozen code: repository …",
    "PROVENANCE_COMMIT": "… commit …",
    "PROVENANCE_PATH": "… and file, if any",
    "PROVENANCE_WORKER": "the worker's name",
    "PROVENANCE_URL": "address of the server",
}
"""Variables that the worker sets, and their meaning. Parameters are added, each under its own name."""
MAY_BE_LARGE = ("PROVENANCE_PARAMETERS", "PROVENANCE_INPUTS")

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
NOT_BY_PARAMETER = re.compile(
    r"PROVENANCE_.*|LD_.*|DYLD_.*|BASH.*|PYTHON.*|PERL.*|RUBY.*|JAVA_.*|_JAVA_.*|JDK_.*|NODE_.*|GIT_.*|DOCKER_.*"
    r"|PODMAN_.*|CONTAINER_HOST|CONTAINERS_.*|APPTAINER.*|SINGULARITY.*|XDG_.*|GCONV_PATH|LOCPATH|GLIBC_TUNABLES"
    r"|OPENSSL_.*|CLASSPATH|LUA_.*|R_(HOME|LIBS|PROFILE|ENVIRON).*|MAKEFLAGS"
    r"|PATH|ENV|IFS|HOME|SHELL|SHELLOPTS|CDPATH|OPTIND|TMPDIR|PS4|PWD|[a-z]*_proxy|[A-Z]*_PROXY"
)
"""Variables that decide which code runs, and where: for the operator of the worker, not for authors of executions."""
NOT_UNDECLARED = re.compile(
    r"DOTNET_.*|JULIA_.*|PIP_.*|UV_.*|CONDA_.*|VIRTUAL_ENV|npm_config_.*|NPM_CONFIG_.*|GEM_.*|BUNDLE_.*|CARGO_.*"
    r"|RUST(C|FLAGS|UP|DOC).*|GO(FLAGS|PATH|ROOT|PROXY|ENV|BIN|TOOLCHAIN)|CC|CXX|[A-Z]*FLAGS|MAKEFILES|PHPRC|PHP_.*"
    r"|OPAM.*|TCLLIBPATH|TAR_OPTIONS|LESS(OPEN|CLOSE)|PAGER|EDITOR|VISUAL|PROMPT_COMMAND|SSH_.*|SUDO_.*|SSL_CERT_.*"
    r"|CURL_.*|WGETRC|KUBECONFIG|AWS_(PROFILE|CONFIG_FILE|SHARED_CREDENTIALS_FILE|CA_BUNDLE|ENDPOINT_URL.*)"
    r"|HOSTALIASES|RES_OPTIONS|LOCALDOMAIN|NLSPATH|MALLOC_.*"
)
"""Variables with which many programs find code, directories and accounts. A component that wants one declares it."""
MAX_VARIABLE_BYTES = 131_072
"""Bytes of `name=value` and its terminating zero: Linux's limit for one string of execve(2)."""
MAX_ENVIRONMENT_BYTES = 1_048_576
"""Bytes of all variables: half of execve(2)'s limit with a stack of 8 MB, since commands have arguments as well."""
POINTER_BYTES = 8
MAX_NAMED = 20


class Environment:
    """The variables of a command, and the reasons why some were left out, by name."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self.variables = dict(variables)
        self.left_out: dict[str, str] = {}
        self._bytes = sum(_size(*variable) + POINTER_BYTES for variable in variables.items())
        self._max_bytes = min(MAX_ENVIRONMENT_BYTES, os.sysconf("SC_ARG_MAX") // 2)

    @property
    def notice(self) -> str:
        """A sentence about the variables left out; empty when there are none."""
        if not self.left_out:
            return ""
        left_out = [f"{name[:100]} ({why})" for name, why in self.left_out.items()]
        more = f", and {len(left_out) - MAX_NAMED:,} more" if len(left_out) > MAX_NAMED else ""
        named = ", ".join(left_out[:MAX_NAMED]) + more
        return f"Not in the command's environment, but in PROVENANCE_ACTIVITY_FILE: {named}."

    def add(self, name: str, value: str) -> None:
        """Set a variable, or leave it out when it does not fit."""
        self.remove(name)
        size = _size(name, value)
        if "\0" in value:
            self.left_out[name] = "holds a zero byte"
        elif size > MAX_VARIABLE_BYTES:
            self.left_out[name] = f"{size:,} bytes are too many for a variable"
        elif self._bytes + size + POINTER_BYTES > self._max_bytes:
            self.left_out[name] = "the environment is full"
        else:
            self.variables[name] = value
            self._bytes += size + POINTER_BYTES

    def remove(self, name: str) -> None:
        """Remove a variable: its name has another meaning in the worker's own environment."""
        if (value := self.variables.pop(name, None)) is not None:
            self._bytes -= _size(name, value) + POINTER_BYTES


def make_environment(
    claimed: ClaimedActivity, workspace: Workspace, options: Options, inherited: Mapping[str, str]
) -> Environment:
    """The worker's own environment, the variables of ENVIRONMENT_VARIABLES, and the parameters.

    The worker's variables that begin with PROVENANCE_ are not passed on, except the token if the options say so. A
    parameter replaces a variable of the worker only if the component declares it.
    """
    environment = Environment({name: value for name, value in inherited.items() if not name.startswith("PROVENANCE_")})
    own = _own_variables(claimed, workspace, options) | ({TOKEN: options.token} if options.pass_token else {})
    for name in sorted(own, key=MAY_BE_LARGE.__contains__):
        environment.add(name, own[name])
    undeclared = claimed.undeclared_parameters
    for name, value in claimed.parameters.items():
        if not NAME.fullmatch(name):
            environment.left_out[name] = "cannot be the name of a variable"
        elif NOT_BY_PARAMETER.fullmatch(name):
            environment.left_out[name] = "may be set only by the worker's operator"
        elif name in undeclared and name in environment.variables:
            environment.left_out[name] = (
                "is a variable of the worker's own, and no parameter that the component declares"
            )
        elif name in undeclared and NOT_UNDECLARED.fullmatch(name):
            environment.left_out[name] = "steers tools, and is not a parameter that the component declares"
        elif value is None:
            environment.remove(name)
        else:
            environment.add(name, _text(value))
    return environment


def write_files(claimed: ClaimedActivity, workspace: Workspace, options: Options) -> None:
    """Write the activity and its parameters to files beside the command's folders, with an empty one for what it uses.

    Raises OSError.
    """
    workspace.activity_file.write_bytes(
        orjson.dumps(claimed.fields | {"worker": options.name}, option=orjson.OPT_INDENT_2)
    )
    workspace.parameters_file.write_bytes(orjson.dumps(claimed.parameters))
    workspace.used_file.touch()


def _own_variables(claimed: ClaimedActivity, workspace: Workspace, options: Options) -> dict[str, str]:
    fields = claimed.fields
    code = (fields["code"] or [{}])[0]
    values = {
        "ACTIVITY_ID": claimed.id,
        "KIND": "STEP" if claimed.is_step else "TRANSFORM",
        "ATTEMPT": claimed.attempt,
        "OUTPUT_DIR": workspace.outputs,
        "PARAMETERS_FILE": workspace.parameters_file,
        "PARAMETERS": _json(claimed.parameters),
        "ACTIVITY_FILE": workspace.activity_file,
        "USED": workspace.used_file,
        "REPOSITORY": code.get("repository"),
        "COMMIT": code.get("commit"),
        "PATH": code.get("path"),
        "WORKER": options.name,
    }
    values |= _step_variables(fields, workspace) if claimed.is_step else {"RESOURCE_ID": fields["resource"]["id"]}
    variables = {f"PROVENANCE_{name}": str(value) for name, value in values.items() if value is not None}
    return variables | {URL: options.url}


def _step_variables(fields: dict[str, Any], workspace: Workspace) -> dict[str, str | Path | None]:
    version = fields["componentVersion"]
    return {
        "INPUT_DIR": workspace.inputs,
        "STEP_KEY": fields["key"],
        # If the execution was cancelled between the claim and its answer, its steps are no longer visible.
        "EXECUTION_ID": (fields["execution"] or {}).get("id"),
        "COMPONENT": version["component"]["name"],
        "VERSION": version["version"],
        "IMAGE": version["dockerHubLink"],
        "PORTS": " ".join(fields["ports"]),
        "INPUTS": None if fields["inputs"] is None else _json(fields["inputs"]),
    }


def _text(value: Any) -> str:
    """A parameter as text for a shell: strings unchanged, everything else as JSON."""
    return value if isinstance(value, str) else _json(value)


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


def _size(name: str, value: str) -> int:
    """The bytes of `name=value` and its terminating zero."""
    return len(os.fsencode(name)) + len(os.fsencode(value)) + 2
