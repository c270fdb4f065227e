"""Parser for YAML from outside: returns a mapping of JSON values, or raises InvalidInput with what is wrong."""

import base64
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import yaml

from resolvers.formats.json_text import utf8
from resolvers.formats.yaml_scalar import Scalar
from resolvers.user_errors import InvalidInput

if TYPE_CHECKING:
    from yaml import SafeLoader
else:
    # libyaml needs up to 0.9 s for 256 kB of the densest YAML, the parser in Python 6 s. Real files are below 10 kB.
    SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

MAX_DEPTH = 50
MAX_ALIASES = 10
MAX_VALUES = 50_000
MAX_NUMBER_LENGTH = 100
"""Characters of a number; longer ones are read as texts."""


@dataclass(frozen=True)
class YamlMapping:
    """The content of a YAML text.

    `values` are JSON values, with numbers and truth values as Scalars. `repeated_keys` are the paths of keys that are
    given more than once, of which the last counts. `has_tabs` says that tabs had to be replaced by spaces to parse it.
    """

    values: dict[str, Any]
    repeated_keys: list[list[str]]
    has_tabs: bool


def read_mapping(text: str, *, noun: str, max_bytes: int) -> YamlMapping:
    """Parse one document, with dates as texts. Raises InvalidInput if it is not YAML, not a mapping, or a YAML bomb."""
    utf8(text, noun=noun, max_bytes=max_bytes)
    if "\0" in text:
        raise InvalidInput(f"The {noun} holds a NUL character at {text.index(chr(0))}.")
    try:
        return _read(text, noun, has_tabs=False)
    except InvalidInput:
        # YAML allows no tabs in indentation and separation, but editors put them there.
        if "\t" not in text:
            raise
    spaced = text.replace("\t", "    ")
    utf8(spaced, noun=noun, max_bytes=max_bytes)
    return _read(spaced, noun, has_tabs=True)


class _Loader(SafeLoader):
    """A loader for safe YAML 1.1 that leaves dates, and numbers that Python does not accept, as texts."""

    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """A mapping whose keys are texts: `NO` is a name, although YAML 1.1 reads it as false."""
        if isinstance(node, yaml.MappingNode):
            self.flatten_mapping(node)
            node.value = [(_text_key(key), value) for key, value in node.value]
        mapping: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        return mapping


def _text_key(key: yaml.Node) -> yaml.Node:
    if not isinstance(key, yaml.ScalarNode):
        return key
    return yaml.ScalarNode("tag:yaml.org,2002:str", key.value, key.start_mark, key.end_mark)


def _boolean(loader: _Loader, node: yaml.ScalarNode) -> Scalar:
    return Scalar(node.value, loader.construct_yaml_bool(node))


def _number(loader: _Loader, node: yaml.ScalarNode) -> str:
    """A number, or its text if it is too long to be meant as a number."""
    if len(node.value) > MAX_NUMBER_LENGTH:
        return str(node.value)
    try:
        is_integer = node.tag == "tag:yaml.org,2002:int"
        number = loader.construct_yaml_int(node) if is_integer else loader.construct_yaml_float(node)
        return Scalar(node.value, number)
    except (ValueError, OverflowError, IndexError):
        return str(node.value)


def _text(loader: _Loader, node: yaml.ScalarNode) -> str:
    return str(node.value)


_Loader.add_constructor("tag:yaml.org,2002:bool", _boolean)
_Loader.add_constructor("tag:yaml.org,2002:int", _number)
_Loader.add_constructor("tag:yaml.org,2002:float", _number)
# `=` and `<<` have a meaning in YAML 1.1 as keys. As values, PyYAML refuses them unless they have constructors.
_Loader.add_constructor("tag:yaml.org,2002:value", _text)
_Loader.add_constructor("tag:yaml.org,2002:merge", _text)


def _read(text: str, noun: str, *, has_tabs: bool) -> YamlMapping:
    try:
        _check_events(text, noun)
        root, value = _load(text)
    except yaml.YAMLError as error:
        raise InvalidInput(f"The {noun} is not YAML: {_summary(error)}.") from None
    except RecursionError:
        raise InvalidInput(f"The {noun} refers to itself.") from None
    except (ValueError, TypeError, OverflowError, AttributeError, KeyError, IndexError) as error:
        # PyYAML raises such errors on explicit tags with invalid values, as in `!!timestamp 2021-02-30`.
        raise InvalidInput(f"The {noun} holds a value that is not what its tag says: {error}.") from None
    if value is None:
        raise InvalidInput(f"The {noun} is empty.")
    if not isinstance(value, dict) or not isinstance(root, yaml.MappingNode):
        kind = "a list" if isinstance(value, list) else "a single value"
        raise InvalidInput(f"The {noun} is {kind}, not a mapping of names to values.")
    return YamlMapping(_JsonConverter(noun).mapping(value), list(islice(_repeated_keys(root), 100)), has_tabs)


def _check_events(text: str, noun: str) -> None:
    """Refuse documents that would expand or recurse, by their events, before any value is constructed."""
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
        original = root if root is None else _shallow_copy(root)
        return original, None if root is None else loader.construct_document(root)
    finally:
        loader.dispose()


def _shallow_copy(root: yaml.Node) -> yaml.Node:
    """The root node before construction, which merges `<<` into the nodes themselves."""
    if isinstance(root, yaml.MappingNode):
        return yaml.MappingNode(root.tag, list(root.value), root.start_mark, root.end_mark)
    return root


def _repeated_keys(root: yaml.Node) -> Iterator[list[str]]:
    """The paths of keys that occur more than once in their mapping. Parts that are used twice are visited once."""
    visited: set[int] = set()
    pending: list[tuple[yaml.Node, list[str]]] = [(root, [])]
    while pending:
        node, path = pending.pop()
        if id(node) in visited:
            continue
        visited.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            pending += [(item, [*path, str(place)]) for place, item in enumerate(node.value)]
        elif isinstance(node, yaml.MappingNode):
            names = [str(key.value) for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
            yield from ([*path, name] for name, times in Counter(names).items() if times > 1)
            pending += [(value, [*path, str(key.value)]) for key, value in node.value]


def _summary(error: yaml.YAMLError) -> str:
    """PyYAML's five-line error in one line: the problem and its position."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        where = f"line {error.problem_mark.line + 1}, column {error.problem_mark.column + 1}"
        return f"{error.problem or error.context} at {where}"
    return " ".join(str(error).split())


class _JsonConverter:
    """Converts YAML values to JSON values, within a budget."""

    def __init__(self, noun: str) -> None:
        self._noun = noun
        self._remaining = MAX_VALUES

    def mapping(self, value: dict[Any, Any], depth: int = 0) -> dict[str, Any]:
        return {self._text(str(key)): self._value(member, depth + 1) for key, member in value.items()}

    def _value(self, value: object, depth: int) -> Any:
        self._remaining -= 1
        if self._remaining < 0 or depth > MAX_DEPTH:
            raise InvalidInput(f"The {self._noun} expands to more than {MAX_VALUES:,} values, or without end.")
        if isinstance(value, dict):
            return self.mapping(value, depth)
        if isinstance(value, set):
            value = sorted(value, key=str)
        if isinstance(value, list | tuple):
            return [self._value(member, depth + 1) for member in value]
        return self._scalar(value)

    def _scalar(self, value: object) -> Any:
        if value is None or isinstance(value, Scalar):
            return value
        if isinstance(value, bytes):
            return base64.b64encode(value).decode()
        return self._text(str(value))

    def _text(self, text: str) -> str:
        if "\0" in text:
            raise InvalidInput(f"The {self._noun} holds a NUL character, in {text[:40]!r}.")
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
