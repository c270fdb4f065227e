"""The stored documents, one class per collection, and access to them. Knows nothing of GraphQL or HTTP."""

from documents.access.idempotency_key import IdempotencyKey
from documents.access.quota_usage import QuotaUsage
from documents.access.token import Token
from documents.activities.log_entry import LogEntry
from documents.base import Document, kind_of
from documents.catalogue.dataset import Dataset
from documents.catalogue.dataset_version import DatasetVersion
from documents.catalogue.distribution import Distribution
from documents.catalogue.former_organisation import FormerOrganisation
from documents.catalogue.organisation import Organisation
from documents.catalogue.resource import Resource
from documents.catalogue.transform import Transform
from documents.file_events.seen_file import SeenFile
from documents.galaxy.archive import Archive
from documents.galaxy.daily_usage import DailyUsage
from documents.galaxy.generation import Generation
from documents.galaxy.ingestion import Ingestion
from documents.galaxy.ingestion_part import IngestionPart
from documents.galaxy.instance import Instance
from documents.galaxy.job import Job
from documents.galaxy.rejection import Rejection
from documents.galaxy.usage import Usage
from documents.imports.imported_row import ImportedRow
from documents.provenance.external_data import ExternalData
from documents.storage.upload import Upload
from documents.twins.component import Component
from documents.twins.component_version import ComponentVersion
from documents.twins.digital_twin import DigitalTwin
from documents.twins.execution import Execution
from documents.twins.output import Output
from documents.twins.result import Result
from documents.twins.step import Step
from documents.twins.user import User
from documents.twins.workflow import Workflow

ALL: list[type[Document]] = [
    Archive,
    Component,
    ComponentVersion,
    DailyUsage,
    Dataset,
    DatasetVersion,
    DigitalTwin,
    Distribution,
    Execution,
    ExternalData,
    FormerOrganisation,
    Generation,
    ImportedRow,
    Ingestion,
    IngestionPart,
    Instance,
    Job,
    LogEntry,
    Organisation,
    Output,
    Rejection,
    IdempotencyKey,
    QuotaUsage,
    Resource,
    Result,
    SeenFile,
    Step,
    Token,
    Transform,
    Upload,
    Usage,
    User,
    Workflow,
]
"""All documents. Each has its collection, its indexes and a policy of reading."""

_BY_KIND = {document.kind: document for document in ALL}


def by_kind(id: str) -> type[Document] | None:
    """The document class that the id belongs to, None for an unknown kind."""
    return _BY_KIND.get(kind_of(id))


__all__ = [
    "ALL",
    "Archive",
    "Component",
    "ComponentVersion",
    "DailyUsage",
    "Dataset",
    "DatasetVersion",
    "DigitalTwin",
    "Distribution",
    "Document",
    "Execution",
    "ExternalData",
    "FormerOrganisation",
    "Generation",
    "IdempotencyKey",
    "ImportedRow",
    "Ingestion",
    "IngestionPart",
    "Instance",
    "Job",
    "LogEntry",
    "Organisation",
    "Output",
    "QuotaUsage",
    "Rejection",
    "Resource",
    "Result",
    "SeenFile",
    "Step",
    "Token",
    "Transform",
    "Upload",
    "Usage",
    "User",
    "Workflow",
    "by_kind",
]
