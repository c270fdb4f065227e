"""Sample data: a small catalogue and a few digital twins, made up, stored through the same writes as real ones."""

from resolvers.sample.store import store_sample

__all__ = ["store_sample"]
