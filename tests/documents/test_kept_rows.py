"""Rows that the builders of the tests keep are those that the server would have written."""

import bson
from beanie.odm.utils.dump import get_dict

from documents.mongo.database import Database
from tests.support.builders import everything_kept, keep
from tests.support.graph_world import a_world


async def test_kept_rows_are_those_that_beanie_writes(database: Database) -> None:
    world = a_world()

    await keep(*world.kept)

    rows = await everything_kept(database)
    options = database.codec_options
    written = {one.id: bson.decode(bson.encode(get_dict(one, to_db=True)), options) for one in world.kept}
    assert {row["_id"]: row for found in rows.values() for row in found} == written
