"""YAML from outside: a mapping of plain JSON values, or a refusal that says what is wrong with the text."""

import base64
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import yaml

from resolvers.ingest.json_text import utf8
from resolvers.refusals import InvalidInput

if TYPE_CHECKING:
    from yaml import SafeLoader
else:
    # libyaml needs up to 0.9 s for 256 kB of the densest YAML, the parser in Python 6 s. Real files are below 10 kB.
    SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

MAX_DEPTH = 50
MAX_ALIASES = 10
MAX_VALUES = 50_000
MAX_NUMBER = 100


@dataclass(frozen=True)
class YamlMapping:
    """What a YAML text holds.

    `values` are JSON values; `written` has the scalars of the outermost mapping as they stand in the text, so that
    a version 0.10 is not read as the number 0.1; `repeated` are the paths of keys given more than once, of which the
    last counts; `tabs` tells that tabs had to be replaced by spaces to read it at all.
    """

    values: dict[str, Any]
    written: dict[str, str]
    repeated: list[list[str]]
    tabs: bool


def read_mapping(text: str, *, noun: str, max_bytes: int) -> YamlMapping:
    """Read one document, dates as text; InvalidInput when it is no YAML, no mapping, or built to exhaust the reader."""
    utf8(text, noun=noun, max_bytes=max_bytes)
    if "\0" in text:
        raise InvalidInput(f"The {noun} holds a NUL character at {text.index(chr(0))}.")
    try:
        return _read(text, noun, tabs=False)
    except InvalidInput:
        # YAML allows no tab where it indents or separates, and people's editors put them there.
        if "\t" not in text:
            raise
    spaced = text.replace("\t", "    ")
    utf8(spaced, noun=noun, max_bytes=max_bytes)
    return _read(spaced, noun, tabs=True)


class _Loader(SafeLoader):
    """Safe YAML 1.1 that leaves dates as they are written, and numbers that Python will not take as well."""

    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in SafeLoader.yaml_implicit_resolvers.items()
    }


def _number(loader: _Loader, node: yaml.ScalarNode) -> object:
    """A number, or its text when it is longer than any number that is meant as one."""
    if len(node.value) > MAX_NUMBER:
        return node.value
    try:
        is_integer = node.tag == "tag:yaml.org,2002:int"
        return loader.construct_yaml_int(node) if is_integer else loader.construct_yaml_float(node)
    except (ValueError, OverflowError, IndexError):
        return node.value


_Loader.add_constructor("tag:yaml.org,2002:int", _number)
_Loader.add_constructor("tag:yaml.org,2002:float", _number)


def _read(text: str, noun: str, *, tabs: bool) -> YamlMapping:
    try:
        _check_events(text, noun)
        root, value = _load(text)
    except yaml.YAMLError as error:
        raise InvalidInput(f"The {noun} is not YAML: {_in_short(error)}.") from None
    except RecursionError:
        raise InvalidInput(f"The {noun} refers to itself.") from None
    except (ValueError, TypeError, OverflowError, AttributeError, KeyError, IndexError) as error:
        # What PyYAML lets through of its own trouble with explicit tags such as `!!timestamp 2021-02-30`.
        raise InvalidInput(f"The {noun} holds a value that is not what its tag says: {error}.") from None
    if value is None:
        raise InvalidInput(f"The {noun} is empty.")
    if not isinstance(value, dict) or not isinstance(root, yaml.MappingNode):
        kind = "a list" if isinstance(value, list) else "a single value"
        raise InvalidInput(f"The {noun} is {kind}, not a mapping of names to values.")
    return YamlMapping(_Plain(noun).mapping(value), _written(root), list(islice(_repeated(root), 100)), tabs)


def _check_events(text: str, noun: str) -> None:
    """Refuse what would grow or recurse when it is built. Events come one at a time, before anything is built."""
    depth = aliases = 0
    for place, event in enumerate(yaml.parse(text, Loader=_Loader)):
        if place > 2 * MAX_VALUES:
            raise InvalidInput(f"The {noun} has more than {MAX_VALUES:,} values.")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        aliases += isinstance(event, yaml.AliasEvent)
        if depth > MAX_DEPTH:
            raise InvalidInput(f"The {noun} is nested more than {MAX_DEPTH} levels deep.")
        if aliases > MAX_ALIASES:
            raise InvalidInput(f"The {noun} refers back to its own parts (*name) more than {MAX_ALIASES} times.")


def _load(text: str) -> tuple[yaml.Node | None, object]:
    loader = _Loader(text)
    try:
        root = loader.get_single_node()
        written = root if root is None else _copy(root)
        return written, None if root is None else loader.construct_document(root)
    finally:
        loader.dispose()


def _copy(root: yaml.Node) -> yaml.Node:
    """The outermost node as it is written: building the values merges `<<` into the nodes themselves."""
    if isinstance(root, yaml.MappingNode):
        return yaml.MappingNode(root.tag, list(root.value), root.start_mark, root.end_mark)
    return root


def _written(root: yaml.MappingNode) -> dict[str, str]:
    return {
        key.value: value.value
        for key, value in root.value
        if isinstance(key, yaml.ScalarNode) and isinstance(value, yaml.ScalarNode)
    }


def _repeated(root: yaml.Node) -> Iterator[list[str]]:
    """Paths of keys that their mapping holds more than once. A part that is used twice is looked at once."""
    visited: set[int] = set()
    waiting: list[tuple[yaml.Node, list[str]]] = [(root, [])]
    while waiting:
        node, path = waiting.pop()
        if id(node) in visited:
            continue
        visited.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting += [(item, [*path, str(place)]) for place, item in enumerate(node.value)]
        elif isinstance(node, yaml.MappingNode):
            names = [str(key.value) for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
            yield from ([*path, name] for name, times in Counter(names).items() if times > 1)
            waiting += [(value, [*path, str(key.value)]) for key, value in node.value]


def _in_short(error: yaml.YAMLError) -> str:
    """What PyYAML says in five lines, in one: the problem and where it is."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        where = f"line {error.problem_mark.line + 1}, column {error.problem_mark.column + 1}"
        return f"{error.problem or error.context} at {where}"
    return " ".join(str(error).split())


class _Plain:
    """Turns what YAML can hold into what JSON can hold, within a budget of values."""

    def __init__(self, noun: str) -> None:
        self._noun = noun
        self._left = MAX_VALUES

    def mapping(self, value: dict[Any, Any], depth: int = 0) -> dict[str, Any]:
        return {self._name(key): self._value(held, depth + 1) for key, held in value.items()}

    def _value(self, value: object, depth: int) -> Any:
        self._left -= 1
        if self._left < 0 or depth > MAX_DEPTH:
            raise InvalidInput(f"The {self._noun} unfolds to more than {MAX_VALUES:,} values, or without an end.")
        if isinstance(value, dict):
            return self.mapping(value, depth)
        if isinstance(value, set):
            value = sorted(value, key=str)
        if isinstance(value, list | tuple):
            return [self._value(one, depth + 1) for one in value]
        return self._scalar(value)

    def _scalar(self, value: object) -> Any:
        if value is None or isinstance(value, bool | int):
            return value
        if isinstance(value, float):
            return value if math.isfinite(value) else str(value)
        if isinstance(value, bytes):
            return base64.b64encode(value).decode()
        return self._text(str(value))

    def _name(self, key: object) -> str:
        if key is None or isinstance(key, bool):
            return "null" if key is None else str(key).lower()
        return self._text(str(key))

    def _text(self, text: str) -> str:
        if "\0" in text:
            raise InvalidInput(f"The {self._noun} holds a NUL character, in {text[:40]!r}.")
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
