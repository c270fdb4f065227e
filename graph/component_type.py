"""How components behave, as clients see it: said of components and of steps alike."""

from documents import component
from graph.enums import described

ComponentType = described(
    component.ComponentType,
    "How a component behaves once it is started.",
    EPHEMERAL="Runs to its end.",
    INTERACTIVE="Is used by people through a port while it runs.",
    PERSISTENT="Keeps running, and serves other steps.",
)
