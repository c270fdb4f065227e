"""What we keep: one document a collection, and how to reach it. Knows nothing of GraphQL or HTTP."""

from documents.archive import Archive
from documents.base import Document, kind_of
from documents.component import Component
from documents.component_version import ComponentVersion
from documents.daily_usage import DailyUsage
from documents.dataset import Dataset
from documents.dataset_version import DatasetVersion
from documents.digital_twin import DigitalTwin
from documents.distribution import Distribution
from documents.execution import Execution
from documents.generation import Generation
from documents.ingestion import Ingestion
from documents.ingestion_part import IngestionPart
from documents.instance import Instance
from documents.job import Job
from documents.log_entry import LogEntry
from documents.organisation import Organisation
from documents.output import Output
from documents.rejection import Rejection
from documents.reservation import Reservation
from documents.resource import Resource
from documents.result import Result
from documents.seen_file import SeenFile
from documents.step import Step
from documents.token import Token
from documents.transform import Transform
from documents.upload import Upload
from documents.usage import Usage
from documents.user import User

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
    Generation,
    Ingestion,
    IngestionPart,
    Instance,
    Job,
    LogEntry,
    Organisation,
    Output,
    Rejection,
    Reservation,
    Resource,
    Result,
    SeenFile,
    Step,
    Token,
    Transform,
    Upload,
    Usage,
    User,
]
"""Every document. A collection exists when its document is listed here."""

_BY_KIND = {document.kind: document for document in ALL}


def by_kind(id: str) -> type[Document] | None:
    """The document that ids like this one belong to, None when there is no such kind."""
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
    "Generation",
    "Ingestion",
    "IngestionPart",
    "Instance",
    "Job",
    "LogEntry",
    "Organisation",
    "Output",
    "Rejection",
    "Reservation",
    "Resource",
    "Result",
    "SeenFile",
    "Step",
    "Token",
    "Transform",
    "Upload",
    "Usage",
    "User",
    "by_kind",
]
