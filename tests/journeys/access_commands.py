"""Hearing whole commands: what the driver asked of the database, filters and all."""

from collections.abc import Iterator
from typing import Any

from bson import decode, encode
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

Command = dict[str, Any]
READS = ("find", "aggregate", "count", "distinct")
WRITES = ("update", "delete", "findAndModify", "insert")


class Commands(CommandListener):
    """Keeps each command as it went over the wire."""

    def __init__(self) -> None:
        self.heard: list[Command] = []

    def started(self, event: CommandStartedEvent) -> None:
        if event.command_name in (*READS, *WRITES):
            asked = {name: value for name, value in event.command.items() if name not in ("lsid", "$clusterTime")}
            self.heard.append({"command": event.command_name, **decode(encode(asked))})

    def succeeded(self, event: CommandSucceededEvent) -> None:
        pass

    def failed(self, event: CommandFailedEvent) -> None:
        pass

    def reads(self) -> list[Command]:
        """The commands that read."""
        return [one for one in self.heard if one["command"] in READS]


def filters(command: Command) -> Iterator[Any]:
    """Everything in filter position: filters, pipelines, changes given as operators."""
    match command["command"]:
        case "find":
            yield from (command.get("filter", {}), command.get("projection", {}), command.get("sort", {}))
        case "aggregate":
            yield command["pipeline"]
        case "count" | "distinct" | "findAndModify":
            yield from (command.get("query", {}), command.get("update", {}))
        case "update":
            yield from (part for one in command["updates"] for part in (one["q"], one["u"]))
        case "delete":
            yield from (one["q"] for one in command["deletes"])


def keys(value: Any) -> Iterator[str]:
    """Every key in a value, however deep."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from keys(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from keys(inner)


def matches(command: Command) -> Iterator[tuple[str, Any]]:
    """The collections that a read reads, each with the condition it is read under."""
    collection = command[command["command"]]
    if command["command"] == "aggregate":
        yield from _matches(collection, command["pipeline"])
    else:
        yield collection, command.get("filter", command.get("query", {}))


def _matches(collection: str, pipeline: list[Command]) -> Iterator[tuple[str, Any]]:
    yield collection, pipeline[0].get("$match", {}) if pipeline else {}
    for stage in pipeline:
        if "$unionWith" in stage:
            yield from _matches(stage["$unionWith"]["coll"], stage["$unionWith"]["pipeline"])
        if "$lookup" in stage:
            yield from _matches(stage["$lookup"]["from"], stage["$lookup"]["pipeline"])


def demands(match: Any, condition: Any) -> bool:
    """Whether nothing can match without meeting the condition."""
    return bool(match == condition) or any(demands(one, condition) for one in match.get("$and", ()))
