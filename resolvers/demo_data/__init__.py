"""Sample data: an invented catalogue, digital twins and a Galaxy, stored by the code that stores real ones."""

from collections.abc import Callable

from resolvers.demo_data.galaxy_servers import store_galaxy
from resolvers.demo_data.statistics_office import store_publications
from resolvers.demo_data.tool_load import store_tool_load
from resolvers.demo_data.twins import store_twins, twins_are_stored

__all__ = ["store_sample"]


async def store_sample(say: Callable[[str], None]) -> None:
    """Store the sample data unless it exists."""
    stored = [await _store_catalogue_and_twins(say), await store_galaxy(say), await store_tool_load(say)]
    say("The sample data is stored." if any(stored) else "The sample data is there.")


async def _store_catalogue_and_twins(say: Callable[[str], None]) -> bool:
    """Store the catalogue and the twins; returns whether they had to be stored."""
    if await twins_are_stored():
        return False
    say("Storing sample data: publications of a statistics office …")
    await store_publications()
    say("Storing sample data: components and digital twins …")
    await store_twins()
    return True
