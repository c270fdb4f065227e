"""The impact of code, as everything that it made, in the GraphQL schema."""

from graph.core.view import argument, computed, page_arguments, view
from graph.provenance.connections import ArtifactConnection
from resolvers.provenance.code_impact import code_impact


@view()
class CodeImpactQuery:
    code_impact: ArtifactConnection = computed(
        code_impact,
        arguments=[
            argument(
                "repository",
                str,
                description="The repository, however it is spelled: with or without .git, a trailing slash, a scheme; "
                "git@host:owner/name as well.",
            ),
            argument(
                "commits",
                list[str],
                description="Whole hashes of commits, or their first 7 digits or more, which stand for all commits "
                "that begin with them; at most 1,000. Runs that were recorded under an abbreviated hash are found by "
                "longer ones.",
            ),
            argument(
                "path",
                str | None,
                description="Only runs of this file, or of files below this folder when it ends in a slash.",
            ),
            *page_arguments(),
        ],
        finds_nodes=True,
        description="What runs of this code made, in any domain, oldest first: outputs of steps, of all attempts, and "
        "published documents. Runs and artifacts that you may not see are left out. To recall a commit, take each of "
        "these with its lineage DOWNSTREAM.",
    )
