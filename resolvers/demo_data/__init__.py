"""Sample data: a small catalogue and a few digital twins, invented, and stored through the same writes as real ones."""

from resolvers.demo_data.store import store_sample

__all__ = ["store_sample"]
