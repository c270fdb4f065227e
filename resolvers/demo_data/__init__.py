"""Sample data: an invented catalogue, digital twins and a Galaxy, stored by the code that stores real ones."""

from resolvers.demo_data.store import store_sample

__all__ = ["store_sample"]
