"""Checks the size of a document and its variables before anything else is done with them."""

import re

from graphql import DocumentNode, FragmentDefinitionNode, OperationDefinitionNode, TokenKind

from graph.engine.complexity import UNBOUNDED, ComplexityMeter, SelectionSize
from graph.errors import LIMIT_EXCEEDED, RequestError
from graph.limits import Limits

MIN_INT, MAX_INT = -(2**63), 2**63 - 1
INVALID_UNICODE = re.compile("[\x00\ud800-\udfff]")
"""NUL and lone surrogates, which MongoDB and UTF-8 cannot represent."""


def check_text(text: str, limits: Limits) -> None:
    """Refuse a document that is too long to parse, or that holds text no answer could echo."""
    if len(text) > limits.characters:
        raise _limit_error("characters", len(text), limits.characters, " Send long values as variables.")
    if INVALID_UNICODE.search(text):
        raise RequestError("The document holds a NUL or half of a surrogate pair, which is not text.")


def check_document(document: DocumentNode, limits: Limits) -> None:
    """Refuse a document with an operation or fragment beyond the limits."""
    _check_literals(document)
    operations = sum(isinstance(definition, OperationDefinitionNode) for definition in document.definitions)
    if operations > limits.operations:
        raise _limit_error("operations", operations, limits.operations)
    meter = ComplexityMeter(document)
    if meter.fragments > limits.fragments:
        raise _limit_error("fragments", meter.fragments, limits.fragments)
    fields = pairs = 0
    for definition in document.definitions:
        # A fragment that no operation spreads is refused too: validation would do so, but only after reading it.
        if isinstance(definition, OperationDefinitionNode):
            size = meter.operation(definition)
        elif isinstance(definition, FragmentDefinitionNode):
            size = meter.fragment(definition.name.value)
        else:
            continue
        fields += size.fields
        _check_size(size, fields, limits, root=isinstance(definition, OperationDefinitionNode))
        pairs += meter.overlapping_field_pairs(definition.selection_set, limits.field_pairs, size.fields + 1)
        if pairs > limits.field_pairs:
            raise _limit_error("pairs of fields with one name in one place", pairs, limits.field_pairs)


def check_variables(variables: dict[str, object], limits: Limits) -> None:
    """Refuse values that cannot be stored or serialised, or that are too many or too deep to be read."""
    count = 0
    level: list[object] = [variables]
    for _ in range(limits.value_depth):
        level = _children(level)
        if not level:
            return
        count += len(level)
        if count > limits.values:
            raise _limit_error("values in variables", count, limits.values)
    raise RequestError(f"The variables are nested deeper than {limits.value_depth} levels.", LIMIT_EXCEEDED)


def _check_size(size: SelectionSize, fields: int, limits: Limits, *, root: bool) -> None:
    # A fragment may be spread in an introspection, whose depth is not counted.
    if root and size.depth > limits.depth:
        raise _limit_error("levels of fields", size.depth, limits.depth)
    if size.aliases > limits.aliases:
        raise _limit_error("aliases", size.aliases, limits.aliases)
    if size.directives > limits.directives:
        raise _limit_error("directives", size.directives, limits.directives)
    if root and size.root_fields > limits.root_fields:
        raise _limit_error("root fields", size.root_fields, limits.root_fields)
    if fields > limits.fields:
        raise _limit_error("fields", fields, limits.fields)


def _limit_error(noun: str, count: int, limit: int, advice: str = "") -> RequestError:
    amount = f"{count:,}" if count < UNBOUNDED else f"more than {UNBOUNDED:,}"
    return RequestError(f"The request has {amount} {noun}; at most {limit:,} are allowed.{advice}", LIMIT_EXCEEDED)


def _check_literals(document: DocumentNode) -> None:
    token = document.loc.start_token if document.loc else None
    while token is not None:
        if token.kind in (TokenKind.STRING, TokenKind.BLOCK_STRING):
            _check_string(token.value or "", "The document")
        elif token.kind is TokenKind.INT:
            _check_digits(token.value or "0")
        elif token.kind is TokenKind.FLOAT:
            _check_float(float(token.value or "0"))
        token = token.next


def _check_digits(digits: str) -> None:
    # Python refuses to parse a number of more than 4,300 digits, so its length is checked first.
    if len(digits) > 20 or not MIN_INT <= int(digits) <= MAX_INT:
        raise _beyond_64_bits(digits)


def _children(values: list[object]) -> list[object]:
    """The members of lists and objects, one level further in; all other values are checked on the way."""
    members: list[object] = []
    for value in values:
        if isinstance(value, str):
            _check_string(value, "A variable")
        elif isinstance(value, dict):
            for key in value:
                _check_string(key, "A key in the variables")
            members += value.values()
        elif isinstance(value, list):
            members += value
        elif isinstance(value, int):
            if not MIN_INT <= value <= MAX_INT:
                raise _beyond_64_bits(str(value))
        elif isinstance(value, float):
            _check_float(value)
    return members


def _check_string(text: str, where: str) -> None:
    if INVALID_UNICODE.search(text):
        raise RequestError(f"{where} holds a NUL or half of a surrogate pair, which cannot be stored.")


def _check_float(number: float) -> None:
    if number in (float("inf"), float("-inf")):
        raise RequestError("A number is beyond the range of a double. Send it as a string.")


def _beyond_64_bits(digits: str) -> RequestError:
    number = digits if len(digits) <= 40 else f"of {len(digits)} digits"
    return RequestError(f"The number {number} is beyond 64 bits. Send it as a string.")
