"""Results, as clients see them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import documents
from graph.connection import Connection
from graph.node import Node
from graph.output import OutputWhere
from graph.view import gathered, one, stored, view

if TYPE_CHECKING:
    from graph.digital_twin import DigitalTwin
    from graph.execution import Execution
    from graph.output import Output


@view(documents.Result)
class Result(Node):
    """Outputs of an execution, gathered under a title."""

    digital_twin: DigitalTwin = one(documents.DigitalTwin, "digital_twin_ref", description="The twin it is about.")
    execution: Execution = one(documents.Execution, "execution_ref", description="Where its outputs come from.")
    title: str = stored(description="Its title.")
    description: str | None = stored(description="What it shows.")
    tags: list[str] = stored(description="Words to find it by.")
    outputs: Connection[Output] = gathered(
        documents.Output, "output_refs", where=OutputWhere, description="Its outputs that you may see, oldest first."
    )
    created_at: datetime = stored(description="When it was made.")
    updated_at: datetime = stored(description="When it last changed.")
    revision: int = stored(description="Rises by one with each change; for expectedRevision.")
