"""Telling the server of files that appeared or changed."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import datetime

import strawberry
from strawberry.types import Info

from graph.declared import reader_of
from graph.mutation import mutation, optional, perform, refused, wanted
from graph.scalars import BigInt
from graph.transform import Transform
from graph.user_errors import UserError
from resolvers.file_events import TURN, report_files
from resolvers.ingest.turns import turn
from resolvers.viewer import Role


@strawberry.input(description="A file as it is now.")
class FileEventInput:
    url: str = wanted(
        "Its address, such as gs://bucket/folder/file.csv; an https:// address of the same object means the same. "
        "What ends in a slash is a directory, and is passed over."
    )
    generation: str = wanted(
        "What changes whenever the file does: the generation of an object, an ETag, a hash. Of two whole numbers the "
        "smaller one is the older."
    )
    updated_at: datetime | None = optional(
        "When the file became what it is. Without it, the first report of a directory is taken for what was there "
        "already, and every later one for news."
    )
    size_bytes: BigInt | None = optional("Its size.")


@strawberry.input(description="Files that appeared or changed, or a list of all that is there.")
class ReportFilesInput:
    files: list[FileEventInput] = wanted("At most 1,000, in any order.")


@strawberry.type(description="The transforms that wait because of these files, or why nothing was recorded.")
class ReportFilesPayload:
    due: list[Transform] = strawberry.field(
        description="New ones, and those that waited already and have more to wait for; empty when nothing is new.",
        default_factory=list,
    )
    user_errors: list[UserError] = refused()


@strawberry.type
class FileEventMutation:
    @mutation(
        "Files appeared or changed. Marks the transforms that are due; repeats of the same file and generation do "
        "nothing. Due is each resource that watches a directory above a file which appeared or changed, by its "
        "updatedAt, after the directory came to be watched; files that were there before are noted and make nothing "
        "due."
    )
    async def report_files(self, info: Info, input: ReportFilesInput) -> ReportFilesPayload:
        may_report = reader_of(info).viewer.role in (Role.WORKER, Role.ADMIN)
        async with turn(TURN) if may_report else nullcontext():
            return await perform(info, ReportFilesPayload, report_files, input)
