"""The modules that mutants are made of, and the test files that belong to each."""

from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

from tests.support.running import ROOT

AREAS: dict[str, tuple[str, ...]] = {
    "access": (
        *(
            "resolvers/access/policies.py",
            "resolvers/twins/named_users.py",
            "resolvers/twins/readers.py",
            "resolvers/twins/share_twin.py",
            "resolvers/activities/reuse_access.py",
        ),
        *(
            "resolvers/twins/ownership.py",
            "resolvers/twins/twin_rights.py",
            "resolvers/twins/transfer_twin.py",
            "resolvers/reads/semi_join.py",
        ),
        *(
            "resolvers/access/authentication.py",
            "resolvers/access/jwks.py",
            "resolvers/access/oidc.py",
            "resolvers/access/roles.py",
            "resolvers/access/quota.py",
            "resolvers/access/token.py",
            "resolvers/access/token_secret.py",
            "resolvers/access/viewer.py",
        ),
    ),
    "writing": (
        *(
            "documents/mongo/transaction.py",
            "resolvers/writes/transaction.py",
            "resolvers/writes/store.py",
            "resolvers/writes/idempotency.py",
            "resolvers/writes/stored_outcome.py",
            "resolvers/activities/idempotent_replay.py",
        ),
        *(
            "resolvers/validators.py",
            "resolvers/user_errors.py",
            "resolvers/twins/user.py",
            "resolvers/galaxy/instance.py",
        ),
        *(
            "resolvers/twins/digital_twin.py",
            "resolvers/catalogue/resource.py",
            "resolvers/catalogue/merge_organisations.py",
            "resolvers/reads/successors.py",
        ),
        *("graph/core/mutation.py", "graph/core/user_error_types.py"),
    ),
    "runs": (
        *("resolvers/twins/execution*.py", "resolvers/activities/claim.py", "resolvers/activities/state_machine.py"),
        *(
            "documents/provenance/frozen_inputs.py",
            "resolvers/twins/step_graph.py",
            "resolvers/file_events/mark_transforms_due.py",
            "resolvers/file_events/changed_files.py",
            "resolvers/activities/report_access.py",
            "resolvers/activities/lease.py",
            "resolvers/activities/lifecycle.py",
        ),
        *(
            "resolvers/twins/result.py",
            "resolvers/twins/output.py",
            "resolvers/activities/retry.py",
            "resolvers/twins/rerun*.py",
        ),
        *(
            "resolvers/twins/chosen_steps.py",
            "resolvers/twins/cancel_execution.py",
            "resolvers/activities/attempts.py",
            "resolvers/activities/claim_queue.py",
        ),
        *(
            "resolvers/twins/input_files.py",
            "resolvers/twins/used*.py",
            "resolvers/twins/parameter*.py",
            "resolvers/twins/step_parameters.py",
        ),
        *(
            "resolvers/twins/workflow.py",
            "resolvers/activities/log_entry.py",
            "resolvers/activities/server_log_lines.py",
        ),
    ),
    "paging": (
        *(
            "resolvers/reads/page_request.py",
            "resolvers/reads/cursor.py",
            "resolvers/reads/order.py",
            "resolvers/filters.py",
        ),
        *(
            "resolvers/reads/rows.py",
            "resolvers/reads/lookups.py",
            "resolvers/reads/children.py",
            "resolvers/reads/pages.py",
            "resolvers/reads/counts.py",
            "resolvers/reads/loaders.py",
            "resolvers/reads/batch_point_reads.py",
            "graph/core/where.py",
        ),
        *(
            "graph/core/pagination.py",
            "graph/engine/plan/nested_pages.py",
            "graph/engine/plan/page_rows.py",
            "graph/engine/plan/connection_codegen.py",
        ),
    ),
    "limits": (
        *(
            "resolvers/reads/answer_budget.py",
            "graph/engine/document_limits.py",
            "graph/engine/input_bounds.py",
            "graph/engine/complexity.py",
            "graph/engine/admission.py",
        ),
        *(
            "graph/http/request.py",
            "graph/http/request_head.py",
            "graph/http/multipart.py",
            "graph/core/scalars.py",
            "graph/engine/event_loop_share.py",
        ),
    ),
    "uploads": (
        *(
            "resolvers/storage/upload.py",
            "resolvers/storage/verify_upload.py",
            "resolvers/storage/verify_bucket.py",
            "resolvers/storage/object_references.py",
            "resolvers/storage/reference_table.py",
            "resolvers/twins/register_output.py",
            "resolvers/sweeps/sweep_loop.py",
            "resolvers/sweeps/uploads.py",
        ),
        *(
            "resolvers/storage/signed_url.py",
            "resolvers/galaxy/archive.py",
            "resolvers/galaxy/receive_report.py",
            "resolvers/file_events/file_event.py",
        ),
        *(
            "documents/storage/bucket.py",
            "documents/storage/folder_bucket.py",
            "documents/storage/google_bucket.py",
            "graph/http/bucket_objects.py",
            "graph/http/byte_ranges.py",
            "graph/http/public_origin.py",
        ),
    ),
    "ingestion": (
        *(
            "resolvers/formats/*.py",
            "resolvers/imports/*.py",
            "resolvers/galaxy/ingest/*.py",
            "resolvers/galaxy/report/*.py",
            "resolvers/galaxy/parquet/*.py",
            "resolvers/catalogue/choose_dataset.py",
            "resolvers/catalogue/dataset_facts.py",
            "resolvers/catalogue/expected_versions.py",
            "resolvers/catalogue/find_or_create.py",
            "resolvers/catalogue/publish.py",
            "resolvers/catalogue/read_distributions.py",
            "resolvers/catalogue/report_transform.py",
            "resolvers/concurrency/keyed_lock.py",
            "resolvers/galaxy/ingestion_log.py",
            "resolvers/galaxy/readable_archives.py",
            "resolvers/twins/register_component.py",
            "resolvers/writes/unique_index_errors.py",
            "resolvers/galaxy/ingestion.py",
            "resolvers/galaxy/generation.py",
            "resolvers/galaxy/discard.py",
        ),
        *(
            "resolvers/galaxy/ingestion_queue.py",
            "resolvers/galaxy/generation_switch.py",
            "resolvers/galaxy/report_metadata.py",
            "resolvers/galaxy/job.py",
            "resolvers/galaxy/job_parameters.py",
        ),
    ),
    "usage": (
        "resolvers/galaxy/statistics/aggregates.py",
        "resolvers/galaxy/statistics/counts.py",
        "resolvers/galaxy/statistics/usage_query.py",
        "resolvers/galaxy/statistics/runtimes.py",
        "resolvers/galaxy/statistics/time_window.py",
        "resolvers/galaxy/statistics/tool_usage.py",
        "resolvers/galaxy/statistics/top_tools.py",
        "resolvers/galaxy/statistics/percentiles.py",
    ),
    "worker": ("graph/clients/worker/*.py", "graph/commands/work.py"),
}
"""Patterns of modules by the area that they belong to; a `*` stands for folders too."""


FOLDED = (
    "resolvers/galaxy/ingest/test_process_archive.py resolvers/galaxy/ingest/test_merge.py "
    "resolvers/galaxy/ingest/test_part_lease.py"
)
READ = (
    "resolvers/galaxy/report/test_rows.py resolvers/galaxy/report/test_order.py resolvers/galaxy/report/test_hostile.py"
)
CATALOGUE = (
    "resolvers/imports/catalogue/test_importer.py resolvers/imports/catalogue/test_repositories.py "
    "resolvers/imports/catalogue/test_dataset_matching.py"
)
PUBLISHED = "resolvers/catalogue/test_report_transform.py resolvers/catalogue/test_refused_reports.py"
ODTP = (
    "resolvers/imports/odtp/test_importer.py resolvers/imports/odtp/test_surprises.py "
    "resolvers/imports/odtp/test_synchronise.py"
)
RUN = (
    "resolvers/activities/test_state_machine.py graph/activities/test_activity.py resolvers/activities/test_claim.py "
    "resolvers/activities/test_retry.py"
)
ASKED = (
    "resolvers/twins/test_execution.py resolvers/twins/test_parameters.py resolvers/twins/test_rerun.py "
    "resolvers/twins/test_workflow.py"
)
PAGED = "graph/core/test_pagination.py graph/engine/plan/test_selections.py graph/engine/plan/test_round_trips.py"
WRITTEN = (
    "graph/engine/plan/test_bson_script.py graph/engine/plan/test_json_output.py graph/twins/test_twins.py "
    "graph/engine/test_answer_budget.py"
)
BOUNDED = "graph/engine/test_document_limits.py graph/engine/test_input_bounds.py"
SEEN = "resolvers/access/test_policies.py journeys/test_access_commands.py"
STORED = "resolvers/storage/test_upload.py resolvers/sweeps/test_uploads.py"
COUNTED = "graph/galaxy/test_tool_usage.py graph/galaxy/test_tool_usage_recounted.py"
WORKED = "graph/clients/worker/test_work.py graph/clients/worker/test_waiting.py"

FURTHER: tuple[tuple[str, str], ...] = (
    ("resolvers/access/policies.py", "journeys/test_access_commands.py journeys/test_access_personal.py"),
    ("resolvers/twins/named_users.py", "resolvers/twins/test_share_twin.py resolvers/twins/test_output.py"),
    ("resolvers/twins/readers.py", "resolvers/twins/test_share_twin.py resolvers/twins/test_output.py"),
    (
        "resolvers/twins/ownership.py",
        "resolvers/twins/test_digital_twin.py resolvers/catalogue/test_resource.py resolvers/twins/test_share_twin.py",
    ),
    (
        "resolvers/twins/twin_rights.py",
        "resolvers/twins/test_share_twin.py resolvers/twins/test_transfer_twin.py resolvers/twins/test_output.py",
    ),
    ("resolvers/reads/semi_join.py", f"graph/core/test_where_inputs.py graph/core/test_required_links.py {SEEN}"),
    (
        "resolvers/access/authentication.py",
        "resolvers/access/test_viewer.py resolvers/access/test_oidc.py graph/http/test_storage_events.py",
    ),
    ("resolvers/access/jwks.py", "resolvers/access/test_oidc.py"),
    ("resolvers/access/roles.py", "resolvers/access/test_viewer.py resolvers/access/test_oidc.py"),
    ("resolvers/access/quota.py", "resolvers/access/test_quota.py"),
    ("resolvers/access/token.py", "resolvers/access/test_viewer.py graph/access/test_token.py"),
    ("resolvers/access/token_secret.py", "resolvers/access/test_viewer.py"),
    ("resolvers/writes/transaction.py", "documents/mongo/test_database.py resolvers/writes/test_idempotency.py"),
    (
        "resolvers/writes/store.py",
        "documents/mongo/test_database.py resolvers/twins/test_digital_twin.py resolvers/catalogue/test_resource.py",
    ),
    (
        "resolvers/writes/idempotency.py",
        "resolvers/activities/test_idempotent_replay.py journeys/test_repeats.py",
    ),
    ("resolvers/writes/stored_outcome.py", "journeys/test_repeats.py"),
    ("resolvers/galaxy/instance.py", "graph/http/test_galaxy_reports.py"),
    (
        "resolvers/validators.py",
        "resolvers/twins/test_user.py resolvers/catalogue/test_resource.py resolvers/twins/test_execution.py",
    ),
    (
        "resolvers/user_errors.py",
        "resolvers/twins/test_digital_twin.py resolvers/twins/test_execution.py resolvers/access/test_viewer.py",
    ),
    (
        "resolvers/reads/successors.py",
        "resolvers/catalogue/test_merge_organisations.py graph/catalogue/test_lookups.py",
    ),
    ("documents/mongo/transaction.py", "documents/mongo/test_database.py"),
    (
        "graph/core/mutation.py",
        "graph/core/test_mutation.py resolvers/writes/test_idempotency.py resolvers/twins/test_digital_twin.py",
    ),
    (
        "graph/core/user_error_types.py",
        "graph/core/test_mutation.py resolvers/twins/test_digital_twin.py resolvers/twins/test_execution.py",
    ),
    ("resolvers/twins/execution_validation.py", ASKED),
    ("resolvers/twins/step_graph.py", "resolvers/twins/test_execution.py"),
    ("graph/core/user_error_types.py", "resolvers/catalogue/test_expected_versions.py graph/test_schema.py"),
    (
        "resolvers/file_events/mark_transforms_due.py",
        "resolvers/file_events/test_file_event.py graph/catalogue/test_transform.py",
    ),
    ("resolvers/file_events/mark_transforms_due.py", "resolvers/file_events/test_changed_files.py"),
    ("resolvers/activities/report_access.py", f"{RUN} graph/activities/test_handing_back.py"),
    ("resolvers/activities/lease.py", f"{RUN} graph/activities/test_handing_back.py"),
    ("resolvers/activities/lifecycle.py", f"{RUN} graph/catalogue/test_transform.py"),
    (
        "documents/provenance/frozen_inputs.py",
        "documents/provenance/test_frozen_inputs.py graph/activities/test_used.py",
    ),
    (
        "resolvers/activities/claim.py",
        (
            "resolvers/activities/test_state_machine.py graph/activities/test_activity.py "
            "resolvers/activities/test_retry.py graph/activities/test_used.py"
        ),
    ),
    ("resolvers/twins/rerun_overrides.py", "resolvers/twins/test_rerun.py"),
    ("resolvers/twins/chosen_steps.py", "resolvers/twins/test_rerun.py resolvers/twins/test_workflow.py"),
    ("resolvers/twins/cancel_execution.py", f"{RUN} graph/catalogue/test_transform.py"),
    (
        "resolvers/activities/attempts.py",
        f"{RUN} graph/catalogue/test_transform.py graph/activities/test_handing_back.py",
    ),
    ("resolvers/activities/claim_queue.py", RUN),
    ("resolvers/twins/used_files.py", "resolvers/twins/test_used_outputs.py resolvers/twins/test_input_files.py"),
    ("resolvers/twins/parameter*.py", ASKED),
    ("resolvers/formats/odtp_yml/parameters.py", ASKED),
    ("resolvers/twins/step_parameters.py", ASKED),
    (
        "resolvers/activities/log_entry.py",
        "graph/activities/test_log_entry.py resolvers/activities/test_subscriptions.py",
    ),
    ("resolvers/activities/server_log_lines.py", f"graph/activities/test_log_entry.py {RUN}"),
    ("resolvers/reads/page_request.py", PAGED),
    ("resolvers/reads/cursor.py", f"{PAGED} {BOUNDED} resolvers/activities/test_subscriptions.py"),
    ("resolvers/reads/order.py", f"{PAGED} graph/core/test_required_links.py resolvers/galaxy/test_job.py"),
    (
        "resolvers/filters.py",
        "graph/core/test_where.py graph/core/test_where_inputs.py resolvers/access/test_policies.py",
    ),
    ("resolvers/reads/rows.py", f"{PAGED} graph/twins/test_twins.py graph/engine/test_answer_budget.py"),
    ("resolvers/reads/lookups.py", f"{PAGED} graph/twins/test_twins.py graph/engine/test_answer_budget.py"),
    ("resolvers/reads/children.py", f"{PAGED} graph/twins/test_twins.py graph/engine/test_answer_budget.py"),
    ("resolvers/reads/pages.py", f"{PAGED} graph/twins/test_twins.py graph/engine/test_answer_budget.py"),
    ("resolvers/reads/counts.py", f"{PAGED} graph/twins/test_twins.py graph/engine/test_answer_budget.py"),
    ("resolvers/reads/loaders.py", f"{PAGED} graph/engine/test_garbage.py graph/twins/test_twins.py {RUN}"),
    ("graph/core/pagination.py", f"{PAGED} graph/test_schema.py"),
    ("graph/core/where.py", "graph/test_schema.py"),
    ("graph/engine/plan/nested_pages.py", f"{PAGED} {WRITTEN}"),
    ("graph/engine/plan/page_rows.py", f"{PAGED} {WRITTEN}"),
    ("graph/engine/plan/connection_codegen.py", f"{PAGED} graph/engine/plan/test_json_output.py"),
    ("resolvers/reads/answer_budget.py", f"graph/engine/test_answer_budget.py {BOUNDED}"),
    ("graph/engine/document_limits.py", "graph/engine/test_input_bounds.py"),
    (
        "graph/engine/complexity.py",
        f"{BOUNDED} graph/engine/test_answer_budget.py graph/engine/test_introspection.py",
    ),
    (
        "graph/http/request.py",
        "graph/http/test_graphql.py graph/http/test_content_encoding.py graph/http/test_hostile_reports.py",
    ),
    ("graph/http/multipart.py", "graph/http/test_galaxy_reports.py graph/http/test_hostile_reports.py"),
    (
        "graph/core/scalars.py",
        "graph/engine/plan/test_variables.py graph/core/test_where_inputs.py graph/test_schema.py",
    ),
    ("graph/http/bucket_objects.py", STORED),
    ("graph/http/public_origin.py", "graph/http/test_bucket_objects.py"),
    ("resolvers/storage/upload.py", STORED),
    ("resolvers/storage/verify_upload.py", STORED),
    *(
        (f"resolvers/storage/{module}.py", "resolvers/storage/test_verify_bucket.py")
        for module in ("verify_bucket", "object_references", "reference_table")
    ),
    ("resolvers/twins/register_output.py", f"{STORED} resolvers/twins/test_output.py resolvers/galaxy/test_archive.py"),
    ("resolvers/storage/signed_url.py", f"{STORED} graph/http/test_bucket_objects.py documents/storage/test_bucket.py"),
    ("resolvers/galaxy/receive_report.py", "graph/http/test_galaxy_reports.py graph/http/test_hostile_reports.py"),
    ("resolvers/file_events/file_event.py", "graph/http/test_storage_events.py"),
    ("documents/storage/bucket.py", "documents/storage/test_bucket.py documents/storage/test_bucket_full.py"),
    ("documents/storage/folder_bucket.py", "documents/storage/test_bucket.py documents/storage/test_bucket_full.py"),
    ("documents/storage/google_bucket.py", "documents/storage/test_bucket.py documents/storage/test_bucket_full.py"),
    ("resolvers/galaxy/discard.py", "resolvers/galaxy/test_generation.py resolvers/galaxy/ingest/test_part_lease.py"),
    (
        "resolvers/galaxy/generation_switch.py",
        "resolvers/galaxy/test_generation.py resolvers/galaxy/ingest/test_process_archive.py",
    ),
    (
        "resolvers/galaxy/ingestion_queue.py",
        f"resolvers/galaxy/test_generation.py resolvers/galaxy/test_ingestion.py {FOLDED}",
    ),
    ("resolvers/galaxy/ingestion.py", "resolvers/galaxy/ingest/test_process_archive.py"),
    ("resolvers/galaxy/ingest/*.py", FOLDED),
    ("resolvers/galaxy/ingestion_log.py", FOLDED),
    ("resolvers/galaxy/ingestion_log.py", "graph/websocket/subscriptions/test_ingestion_logs.py"),
    (
        "resolvers/galaxy/readable_archives.py",
        "resolvers/galaxy/ingest/test_duplicate_jobs.py resolvers/galaxy/ingest/test_process_archive.py",
    ),
    ("resolvers/writes/unique_index_errors.py", FOLDED),
    ("resolvers/galaxy/report/*.py", READ),
    ("resolvers/galaxy/report/sandbox/child.py", "resolvers/galaxy/report/sandbox/test_run_sandbox.py"),
    ("resolvers/galaxy/report/sandbox/pipe_frames.py", "resolvers/galaxy/report/sandbox/test_run_sandbox.py"),
    ("resolvers/galaxy/report/usage/counter.py", "resolvers/galaxy/report/usage/test_cells.py"),
    (
        "resolvers/galaxy/parquet/*.py",
        "resolvers/galaxy/parquet/test_arrow_schema.py resolvers/galaxy/parquet/test_export.py",
    ),
    (
        "resolvers/imports/git_checkout/*.py",
        "resolvers/imports/git_checkout/test_commits.py resolvers/imports/git_checkout/test_hostile.py",
    ),
    ("resolvers/imports/catalogue/*.py", CATALOGUE),
    ("resolvers/imports/folder.py", CATALOGUE),
    ("resolvers/imports/catalogue/identity.py", "resolvers/imports/catalogue/test_pairing.py"),
    (
        "resolvers/imports/catalogue/publish*.py",
        "resolvers/imports/catalogue/test_publishers.py resolvers/imports/catalogue/test_pairing.py",
    ),
    (
        "resolvers/imports/catalogue/dataset_matching.py",
        "resolvers/imports/catalogue/test_publishers.py resolvers/imports/catalogue/test_pairing.py",
    ),
    (
        "resolvers/imports/catalogue/pairing.py",
        "resolvers/imports/catalogue/test_publishers.py resolvers/imports/catalogue/test_pairing.py",
    ),
    (
        "resolvers/imports/catalogue/schedule.py",
        "resolvers/imports/catalogue/test_publishers.py resolvers/imports/catalogue/test_pairing.py",
    ),
    ("resolvers/imports/catalogue/repositories.py", "resolvers/imports/catalogue/test_git_history.py"),
    ("resolvers/formats/csvw_subject.py", "resolvers/formats/test_csvw.py"),
    ("resolvers/formats/csvw_tables.py", "resolvers/formats/test_csvw.py"),
    ("resolvers/formats/json_ld.py", "resolvers/formats/test_csvw.py resolvers/formats/test_agent.py"),
    ("resolvers/formats/json_text.py", "resolvers/formats/test_csvw.py resolvers/formats/test_info_json.py"),
    (
        "resolvers/formats/yaml_text.py",
        "resolvers/formats/odtp_yml/test_description.py resolvers/twins/test_register_component.py",
    ),
    ("resolvers/formats/yaml_scalar.py", "resolvers/formats/odtp_yml/test_datatypes.py"),
    ("resolvers/formats/dates.py", "resolvers/formats/test_csvw.py"),
    (
        "resolvers/formats/sources.py",
        "resolvers/formats/test_info_json_sources.py resolvers/formats/test_csvw_sources.py",
    ),
    (
        "resolvers/formats/slugs.py",
        (
            "resolvers/formats/test_info_json.py resolvers/catalogue/test_find_or_create.py "
            "resolvers/formats/test_agent.py"
        ),
    ),
    ("resolvers/catalogue/choose_dataset.py", f"resolvers/catalogue/test_choose_dataset.py {PUBLISHED}"),
    ("resolvers/catalogue/dataset_facts.py", f"resolvers/catalogue/test_choose_dataset.py {PUBLISHED}"),
    ("resolvers/catalogue/read_distributions.py", PUBLISHED),
    (
        "resolvers/catalogue/find_or_create.py",
        f"resolvers/catalogue/test_expected_versions.py resolvers/catalogue/test_find_or_create.py {PUBLISHED}",
    ),
    (
        "resolvers/catalogue/publish.py",
        f"resolvers/catalogue/test_expected_versions.py resolvers/catalogue/test_find_or_create.py {PUBLISHED}",
    ),
    (
        "resolvers/catalogue/report_transform.py",
        "resolvers/catalogue/test_claimed_transforms.py resolvers/catalogue/test_refused_reports.py",
    ),
    ("resolvers/concurrency/keyed_lock.py", f"resolvers/catalogue/test_find_or_create.py {PUBLISHED}"),
    (
        "resolvers/formats/odtp_yml/*.py",
        f"{ODTP} resolvers/formats/odtp_yml/test_description.py resolvers/formats/odtp_yml/test_adjustments.py",
    ),
    ("resolvers/imports/odtp/step*.py", f"{ODTP} resolvers/formats/odtp_yml/test_description.py"),
    ("resolvers/imports/odtp/*.py", f"{ODTP} resolvers/formats/odtp_yml/test_description.py"),
    ("resolvers/imports/summary.py", f"{ODTP} resolvers/formats/odtp_yml/test_description.py"),
    ("resolvers/imports/odtp/imported_rows.py", ODTP),
    ("resolvers/galaxy/statistics/aggregates.py", COUNTED),
    ("resolvers/galaxy/statistics/counts.py", COUNTED),
    ("resolvers/galaxy/statistics/usage_query.py", COUNTED),
    ("resolvers/galaxy/statistics/runtimes.py", COUNTED),
    ("resolvers/galaxy/statistics/time_window.py", COUNTED),
    ("resolvers/galaxy/statistics/tool_usage.py", COUNTED),
    ("resolvers/galaxy/statistics/top_tools.py", COUNTED),
    ("resolvers/galaxy/statistics/percentiles.py", COUNTED),
    ("graph/clients/worker/client.py", "graph/clients/worker/test_waiting.py"),
    ("graph/clients/worker/claimed_activity.py", f"graph/clients/worker/test_unable.py {WORKED}"),
    ("graph/clients/worker/claim.py", f"graph/clients/worker/test_unable.py {WORKED}"),
    ("graph/clients/worker/loop.py", f"graph/clients/worker/test_unable.py {WORKED}"),
    ("graph/clients/worker/pause.py", f"graph/clients/worker/test_unable.py {WORKED}"),
    ("graph/clients/worker/environment.py", f"graph/clients/worker/test_parameters.py {WORKED}"),
    ("graph/clients/worker/inputs.py", f"graph/clients/worker/test_file_names.py {WORKED}"),
    ("graph/clients/worker/outputs.py", f"graph/clients/worker/test_file_names.py {WORKED}"),
    ("graph/clients/worker/workspace.py", "graph/clients/worker/test_unable.py"),
    ("graph/clients/worker/open_beneath.py", "graph/clients/worker/test_used.py"),
    ("graph/clients/worker/used_file.py", "graph/clients/worker/test_used.py"),
    ("graph/clients/worker/used.py", "graph/clients/worker/test_complete_activity.py"),
    ("graph/clients/worker/subreaper.py", "graph/clients/worker/test_descendants.py"),
    ("graph/clients/worker/watchdog.py", "graph/clients/worker/test_descendants.py"),
    ("graph/clients/worker/*.py", WORKED),
    ("graph/commands/work.py", WORKED),
)
"""Test files, below `tests`, of modules that the mirror of paths does not lead to, or not to all that is about them."""


def modules(*areas: str) -> Iterator[tuple[str, str]]:
    """Each area and module of these areas, of all where none is named. A module is a path below the root.

    Raises KeyError for an area that there is not.
    """
    for area in areas or AREAS:
        found = {path for pattern in AREAS[area] for path in _matching(pattern)}
        yield from ((area, module) for module in sorted(found))


def _matching(pattern: str) -> Iterator[str]:
    layer = pattern.partition("/")[0]
    paths = (path.relative_to(ROOT).as_posix() for path in (ROOT / layer).rglob("*.py") if path.name != "__init__.py")
    return (path for path in paths if fnmatch(path, pattern))


def nearest_tests(module: str) -> list[str]:
    """Paths of the test files that belong to a module, the nearest first: by the mirror of paths, then by the table."""
    further = [f"tests/{name}" for pattern, names in FURTHER if fnmatch(module, pattern) for name in names.split()]
    return list(dict.fromkeys([*_mirror_tests(module), *further]))


def _mirror_tests(module: str) -> Iterator[str]:
    """`test_NAME.py` and `test_NAME_….py` in the folder that mirrors the module's, then in that of another layer."""
    layer, *folders = Path(module).parent.parts
    mirrors = dict.fromkeys([(layer,), (), ("resolvers",), ("graph",), ("documents",)])
    for mirror in mirrors:
        folder = ROOT.joinpath("tests", *mirror, *folders)
        for name in (f"test_{Path(module).stem}.py", f"test_{Path(module).stem}_*.py"):
            yield from (path.relative_to(ROOT).as_posix() for path in sorted(folder.glob(name)))
