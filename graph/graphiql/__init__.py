"""GraphiQL, served wholly from this package: its page, its files and the worked queries it opens with."""

from graph.graphiql.page import content_security_policy, page, render, routes

__all__ = ["content_security_policy", "page", "render", "routes"]
