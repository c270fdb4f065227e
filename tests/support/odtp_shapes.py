"""Rows as ODTP 0.5.1 writes them: strings where others are ObjectIds, camelCase times, nulls, pages of log lines."""

from datetime import datetime, timedelta
from typing import Any

from bson import ObjectId

Row = dict[str, Any]

DAY = datetime(2024, 5, 6, 7, 8, 9, 123000)
MADE = {"created_at": DAY, "updated_at": DAY + timedelta(days=1)}
CAMEL = {"createdAt": DAY, "updatedAt": DAY + timedelta(days=1)}

COMMIT = "6471218336ce7de41a5162c9556c0ff68f9ec13c"


def oid(number: int) -> ObjectId:
    """An ObjectId of 2023-09-12 06:06:56 UTC."""
    return ObjectId(f"65000000{number:016x}")


def hex(number: int) -> str:
    """The text of the ObjectId with this number."""
    return str(oid(number))


def user(number: int, name: str | None = "Ada", **other: Any) -> Row:
    return {
        "_id": oid(number), "displayName": name, "email": f"u{number}@example.org", "github": f"u{number}",
        "deprecated": False, **MADE, **other,
    }  # fmt: skip


def twin(number: int, owner: int, name: str = "Corsica", **other: Any) -> Row:
    return {
        "_id": oid(number), "name": name, "status": "active", "public": True, "executions": [], "deprecated": False,
        "userRef": hex(owner), **MADE, **other,
    }  # fmt: skip


def component(number: int, **other: Any) -> Row:
    return {
        "_id": oid(number), "author": None, "componentName": "odtp-example",
        "repoLink": f"https://github.com/example/component-{number}", "status": "active", "type": "ephemeral",
        "description": "Says hello.", "tags": ["demo"], "versions": [], "deprecated": False, **MADE, **other,
    }  # fmt: skip


def version(number: int, of: int, tag: str = "v0.1.8", **other: Any) -> Row:
    return {
        "_id": oid(number), "componentId": oid(of), "odtp_version": "v0.5.0", "component_version": tag,
        "component": {"componentId": oid(of), "componentName": "odtp-example", "repoLink": "…", "type": "ephemeral"},
        "commitHash": COMMIT, "imageLink": None, "description": "Says hello.", "type": "ephemeral", "tags": ["demo"],
        "parameters": [
            {"name": "COUNT", "datatype": "int", "default-value": 3, "description": "How often.", "options": None,
             "parameter-bounds": [1, "inf"], "allow-custom-value": True},
        ],
        "tools": None, "license": "AGPL-3.0", "ports": [{"name": "Web", "description": "A page.", "port-value": 8501}],
        "secrets": [{"name": "TOKEN", "datatype": "str", "description": "A key.", "value": "s3cr3t"}],
        "devices": None, "data-inputs": None, "data-outputs": None, "build-args": None, "deprecated": False,
        **MADE, **other,
    }  # fmt: skip


def execution(number: int, of: int, steps: list[int], versions: list[int], **other: Any) -> Row:
    return {
        "_id": oid(number), "title": "First try", "description": "Description for Execution", "deprecated": False,
        "dt_id": hex(of), "digitalTwinRef": oid(of), "workflow_id": hex(900), "start_timestamp": DAY,
        "end_timestamp": None, "steps": [oid(one) for one in steps], **CAMEL,
        "workflowSchema": {
            "workflowExecutor": "odtpwf", "workflowExecutorVersion": "0.2.0",
            "component_versions": [hex(one) for one in versions],
            "workflowExecutorSchema": list(range(len(versions))),
        },
    } | other  # fmt: skip


def step(number: int, of: int, runs: int, **other: Any) -> Row:
    return {
        "_id": oid(number), "timestamp": DAY, "start_timestamp": DAY, "end_timestamp": DAY + timedelta(minutes=1),
        "type": "ephemeral", "logs": [], "inputs": {}, "outputs": {}, "component_version": hex(runs),
        "parameters": {"COUNT": 5}, "ports": ["8501:8501"], "secrets": "/work/secrets/token.enc", "run_step": False,
        "executionRef": oid(of), "error": False, "msg": None, **CAMEL,
    } | other  # fmt: skip


def output(number: int, of: int, kind: str = "output", **other: Any) -> Row:
    return {
        "_id": oid(number), "stepRef": hex(of), "output_type": kind, "s3_bucket": "odtp", "s3_key": f"odtp/{hex(of)}",
        "file_name": f"odtp-{kind}.zip", "file_size": 1234, "file_type": "application/zip",
        "metadata": {"description": "An output", "tags": ["a"], "other_info": {"at": DAY, "by": oid(1)}},
        "access_control": {"public": False, "authorized_users": [None]}, **MADE,
    } | other  # fmt: skip


def page(number: int, of: int, lines: str) -> Row:
    return {"_id": oid(number), "stepRef": hex(of), "timestamp": DAY, "logstring": lines}


def result(number: int, of: int, twin: int, outputs: list[int], **other: Any) -> Row:
    return {
        "_id": oid(number), "executionRef": oid(of), "digitalTwinRef": oid(twin), "title": "All of it",
        "output": [oid(one) for one in outputs], "description": "Both files.", "tags": ["demo"], **MADE,
    } | other  # fmt: skip


def workflow(number: int, runs: list[int], **other: Any) -> Row:
    return {
        "_id": oid(number), "name": "hello", "versions": [hex(one) for one in runs], "deprecated": False, **MADE,
    } | other  # fmt: skip


def a_chain() -> dict[str, list[Row]]:
    """A user with a twin and an execution of two steps, each of which left something behind."""
    return {
        "users": [user(1, digitalTwins=[oid(11)])],
        "digitalTwins": [twin(11, 1, executions=[oid(41)])],
        "components": [component(21, versions=[oid(31)])],
        "versions": [version(31, 21)],
        # Their order is that of the list, not that of their ids.
        "executions": [execution(41, 11, steps=[52, 51], versions=[31, 31], end_timestamp=DAY + timedelta(hours=1))],
        "steps": [step(51, 41, 31, output=oid(62)), step(52, 41, 31)],
        # The step's own `output` was overwritten by the snapshot's id.
        "outputs": [
            output(61, 51),
            output(62, 51, "snapshot", access_control={"public": True, "authorized_users": [hex(1), None]}),
        ],
        "logs": [page(71, 51, "one\ntwo\n\nfour"), page(72, 52, "other\n"), page(73, 51, "five\r\nsix")],
        "results": [result(81, 41, 11, [61, 62])],
        "workflows": [workflow(900, [31, 31])],
    }
