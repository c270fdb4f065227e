"""Intended changes of the schema that break clients, and the remedies for clients, as in CHANGELOG.md."""

import re
from collections import defaultdict
from collections.abc import Iterable

ON_PURPOSE = {
    r"(Activity|ComponentVersion|Dataset|DigitalTwin|Execution|Generation|Ingestion|Instance|Organisation|Output|Resource"
    r"|Result|User)Payload was removed\."
    r"|Field Mutation\.\w+ changed type from \w+Payload! to \w+Payload!\.": (
        "Each mutation has a payload type of its own, such as UpdateResourcePayload of updateResource: name that in "
        "fragments."
    ),
    r"Field Step\.inputFiles changed type from \[InputFile!\]! to InputFileConnection!\."
    r"|Argument Step\.inputFiles\(after:\) has changed type from ID to String\.": (
        "Step.inputFiles is a connection like all other lists: ask for its nodes, and go on after pageInfo.endCursor "
        "instead of an outputId."
    ),
    r"Field (Execution\.digitalTwin|Step\.execution|Output\.step) changed type from (\w+)! to \2\.": (
        "Execution.digitalTwin, Step.execution and Output.step may be null, where you may see the object but not what "
        "the link leads to."
    ),
}
"""Remedies for clients, by a pattern of graphql-core's description of the change."""


def by_remedy(changes: Iterable[str]) -> dict[str | None, list[str]]:
    """Breaking changes, as graphql-core describes them, by their remedy; unintended ones come first, under None."""
    groups: defaultdict[str | None, list[str]] = defaultdict(list)
    for change in changes:
        remedy = next((remedy for pattern, remedy in ON_PURPOSE.items() if re.fullmatch(pattern, change)), None)
        groups[remedy].append(change)
    return dict(sorted(groups.items(), key=lambda group: group[0] is not None))
