"""GraphiQL, served wholly from this package: its page, its files and the example queries that it opens with."""

from graph.graphiql.html import content_security_policy, page, render, routes

__all__ = ["content_security_policy", "page", "render", "routes"]
