"""The behaviour of components and steps in the GraphQL schema."""

from documents.twins import component
from graph.core.enums import describe_enum

ComponentType = describe_enum(
    component.ComponentType,
    "The behaviour of a component once started.",
    EPHEMERAL="The component runs to its end.",
    INTERACTIVE="The component serves people through a port while it runs.",
    PERSISTENT="The component keeps running and serves other steps.",
)
