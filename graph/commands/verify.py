"""`provenance-graph verify`: compares the database with the bucket, and names the differences."""

import json
from contextlib import aclosing

import typer
from rich.console import Console

from documents.migrations import SchemaError, schema_problem
from graph.commands.console import EXIT_USAGE, exit_with_error, print_status, progress_bars
from graph.server.open_database import WRITES_REFUSED, check_bucket, connect_for_command, open_configured_bucket
from graph.settings import Settings, SettingsError
from resolvers.storage.verify_bucket import BucketVerification, Finding, Problem

HARMLESS = {Problem.UNREFERENCED}
"""Differences that take nothing from anybody."""


async def verify(settings: Settings, *, hashes: bool, unreferenced: bool, adopt: bool, as_json: bool) -> bool:
    """Print each difference, and a summary; returns whether all objects that documents name are there.

    Raises SchemaError when the database has to be migrated first, and SettingsError for a bucket that cannot be
    used, and for `adopt` in read-only mode.
    """
    if adopt and settings.read_only:
        raise SettingsError(WRITES_REFUSED)
    await check_bucket(settings)
    async with connect_for_command(settings, print_status) as client, open_configured_bucket(settings) as bucket:
        if bucket is None:
            exit_with_error("PROVENANCE_BUCKET is not set, so there is nothing to verify.", EXIT_USAGE)
        if problem := await schema_problem(client[settings.database_name]):
            raise SchemaError(problem)
        with progress_bars(Console(stderr=True)) as report:
            verification = BucketVerification(bucket, hashes, unreferenced, adopt, report)
            async with aclosing(verification.findings()) as findings:
                async for finding in findings:
                    typer.echo(_json(finding) if as_json else _line(finding))
    _print_summary(verification, as_json=as_json)
    return not set(verification.problems) - HARMLESS


def _line(finding: Finding) -> str:
    return f"{finding.problem}: {finding.key} ({finding.document or 'no document'}): {finding.detail}"


def _json(finding: Finding) -> str:
    return json.dumps(
        {
            "problem": finding.problem.name,
            "key": finding.key,
            "document": finding.document,
            "detail": finding.detail,
        }
    )


def _print_summary(verification: BucketVerification, *, as_json: bool) -> None:
    problems = {problem: verification.problems[problem] for problem in Problem}
    if as_json:
        summary = {
            "references": verification.references,
            "objects": verification.objects,
            "bytesRead": verification.bytes_read,
            "adopted": verification.adopted,
            "problems": {problem.name: count for problem, count in problems.items()},
        }
        typer.echo(json.dumps({"summary": summary}))
        return
    print_status(f"Documents name {verification.references:,} objects of {verification.bucket.name}.")
    if verification.bytes_read:
        print_status(f"Read {verification.bytes_read:,} bytes.")
    if verification.adopted:
        print_status(f"{verification.adopted:,} documents name this bucket now.")
    for problem, count in problems.items():
        if count:
            print_status(f"{count:,} {problem}")
    if set(verification.problems) == {Problem.MOVED}:
        print_status("Was the bucket restored from a copy? Then run this command with --adopt.")
    elif not verification.problems:
        print_status("Nothing is missing.")
