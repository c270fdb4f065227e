"""Organisations with resources, datasets, versions, distributions and transforms."""

from documents import Dataset, DatasetVersion, Distribution, Organisation, Resource, Transform
from documents.activities.activity import ActivityStatus, CodeReference
from documents.catalogue.transform import TransformDetails
from tests.bench.level import BEGAN, Level, Row, at, id_of, made_at
from tests.bench.scale import Catalogue
from tests.support.builders import COMMIT, REPOSITORY


def levels_of(sizes: Catalogue) -> list[Level]:
    """The levels of a catalogue, organisations first."""
    resources = sizes.organisations * sizes.resources
    datasets = resources * sizes.datasets
    versions = datasets * sizes.versions
    return [_organisations(sizes.organisations), *_resources(resources, sizes), *_datasets(datasets, versions, sizes)]


def _organisations(count: int) -> Level:
    like = Organisation(url="https://office.example", name="An office")
    return Level(like, count, lambda n: {"url": f"https://office-{n}.example", "name": f"Office {n}"})


def _resources(count: int, sizes: Catalogue) -> list[Level]:
    resource = Resource(organisation_ref="", title="A page", landing_page="https://office.example", natural_key="")
    transform = Transform(
        resource_ref="",
        status=ActivityStatus.SUCCEEDED,
        code=[CodeReference(repository=REPOSITORY, commit=COMMIT)],
        started_at=BEGAN,
        ended_at=BEGAN,
        details=TransformDetails(validated=True),
    )

    def own_resource(n: int) -> Row:
        page = {"landing_page": f"https://office.example/{n}", "naturalKey": f"page-{n}", "title": f"Page {n}"}
        return {"organisationRef": id_of(Organisation, n // sizes.resources), **page, **made_at(n)}

    def own_transform(n: int) -> Row:
        return {"resourceRef": id_of(Resource, n), "created_at": at(n)}

    return [Level(resource, count, own_resource), Level(transform, count, own_transform)]


def _datasets(count: int, versions: int, sizes: Catalogue) -> list[Level]:
    dataset = Dataset(resource_ref="", identifier="", title="Counts", latest_ordinal=sizes.versions)
    version = DatasetVersion(dataset_ref="", label="v1", ordinal=1, distribution_ref="")
    distribution = Distribution(dataset_ref="", version_ref="", csvw='{"url": "counts.csv"}', sha256="", size_bytes=21)

    def own_dataset(n: int) -> Row:
        resource, number = divmod(n, sizes.datasets)
        latest = {"latestVersionRef": id_of(DatasetVersion, (n + 1) * sizes.versions - 1)}
        return {"resourceRef": id_of(Resource, resource), "identifier": f"counts-{number}", **latest, **made_at(n)}

    def own_version(n: int) -> Row:
        dataset, number = divmod(n, sizes.versions)
        refs = {"datasetRef": id_of(Dataset, dataset), "distributionRef": id_of(Distribution, n)}
        return {**refs, "label": f"v{number + 1}", "ordinal": number + 1, "created": at(n)}

    def own_distribution(n: int) -> Row:
        dataset = n // sizes.versions
        refs = {"parent_dataset": id_of(Dataset, dataset), "versionRef": id_of(DatasetVersion, n)}
        by = {"transform_id": id_of(Transform, dataset // sizes.datasets)}
        return {**refs, **by, "sha256": f"{n:064x}", "created_at": at(n)}

    return [
        Level(dataset, count, own_dataset),
        Level(version, versions, own_version),
        Level(distribution, versions, own_distribution),
    ]
