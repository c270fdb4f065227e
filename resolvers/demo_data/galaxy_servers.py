"""The sample's Galaxy server: three monthly reports of its jobs, which are received and ingested like real ones."""

import asyncio
import gzip
import hashlib
import io
import logging
import math
import tarfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from random import Random

import orjson

import documents
from documents.mongo.transaction import Session
from documents.storage.bucket import Bucket, current_bucket
from resolvers.access.viewer import ADMIN
from resolvers.galaxy.discard import UNFINISHED
from resolvers.galaxy.ingest.poll_loop import ingest
from resolvers.galaxy.instance import create_instance, new_key
from resolvers.galaxy.receive_report import Field, receive_report
from resolvers.reads.rows import collection_of
from resolvers.writes.transaction import Outcome, run_in_transaction

INSTANCE_UUID = "6f1d2c3b-4a59-4e68-8b7a-9c0d1e2f3a4b"
MONTHS = (10, 11, 12)
JOBS_PER_MONTH = 400
INGEST_TIMEOUT = 15.0
"""Seconds to wait for reports that another worker is reading."""
POLL_INTERVAL = 0.1
"""Seconds between two looks at them."""
HEADERS = {
    "jobs": "id\ttool_id\ttool_version\tstate\tcreate_time",
    "metric_num": "job_id\tplugin\tname\tvalue",
    "datasets": "job_id\tdataset_id\textension\tfile_size\tparam_name\ttype",
}


@dataclass(frozen=True)
class Tool:
    """A tool of the sample: how often it runs, its typical seconds, how often it fails, its inputs and outputs."""

    id: str
    versions: tuple[str, ...]
    share: int
    seconds: float
    error_rate: float
    reads: str
    writes: str


TOOLS = [
    Tool("upload1", ("1.1.7",), 30, 6, 0.02, "data", "fastqsanger"),
    Tool("toolshed.example/repos/lab/fastqc/fastqc", ("0.73", "0.74"), 22, 45, 0.03, "fastqsanger", "html"),
    Tool("toolshed.example/repos/lab/bwa/bwa_mem", ("0.7.17", "0.7.18"), 16, 900, 0.08, "fastqsanger", "bam"),
    Tool("toolshed.example/repos/lab/samtools_sort/samtools_sort", ("2.0.5",), 12, 120, 0.04, "bam", "bam"),
    Tool("toolshed.example/repos/lab/rna_star/rna_star", ("2.7.10", "2.7.11"), 8, 2400, 0.15, "fastqsanger", "bam"),
    Tool("cat1", ("1.0.0",), 12, 2, 0.01, "tabular", "tabular"),
]


async def store_galaxy(say: Callable[[str], None]) -> bool:
    """Store the server and its reports, and ingest them; returns whether they had to be stored."""
    bucket = current_bucket()
    if bucket is None:
        return False
    instance = await documents.Instance.find_one(documents.Instance.uuid == INSTANCE_UUID)
    id = instance.id if instance else await _create_instance()
    if await documents.Archive.find(documents.Archive.instance_ref == id).count() >= len(MONTHS):
        return False
    say("Storing sample data: a Galaxy and its job reports …")
    for number, month in enumerate(MONTHS):
        await _send(id, bucket, *_make_report(month, number * JOBS_PER_MONTH + 1))
    with _silence_worker():
        await ingest(asyncio.Event(), name="sample", until_idle=True)
    await _wait_until_ingested(id)
    return True


async def _create_instance() -> str:
    owner = await documents.User.find_one(documents.User.display_name == "demo-researcher")

    async def work(session: Session) -> Outcome:
        return await create_instance(
            session,
            ADMIN,
            key=new_key(),
            uuid=INSTANCE_UUID,
            url="https://galaxy.example",
            title="Example Galaxy",
            description="A made-up server, with three months of jobs.",
            public=True,
            owner_ids=[owner.id] if owner else [],
        )

    id: str = (await run_in_transaction(work))["instance"]["_id"]
    return id


async def _send(instance_id: str, bucket: Bucket, identifier: str, meta: bytes, content: bytes) -> None:
    async def in_one_chunk(value: bytes) -> AsyncIterator[bytes]:
        yield value

    async def fields() -> AsyncIterator[Field]:
        yield "identifier", in_one_chunk(identifier.encode())
        yield "meta", in_one_chunk(meta)
        yield "data", in_one_chunk(content)

    await receive_report(instance_id, bucket, fields())


@contextmanager
def _silence_worker() -> Iterator[None]:
    """Silence the worker's log except for errors: the first lines of the demo say where to look."""
    log = logging.getLogger("resolvers.ingest")
    log.setLevel(logging.WARNING)
    try:
        yield
    finally:
        log.setLevel(logging.NOTSET)


async def _wait_until_ingested(instance_id: str) -> None:
    """Return when no report waits or is being read: the server's own ingest worker may have claimed some of them."""
    unfinished = UNFINISHED | {"instanceRef": instance_id}
    for _ in range(int(INGEST_TIMEOUT / POLL_INTERVAL)):
        if await collection_of(documents.Ingestion).find_one(unfinished, {"_id": 1}) is None:
            return
        await asyncio.sleep(POLL_INTERVAL)


def _make_report(month: int, first: int) -> tuple[str, bytes, bytes]:
    """The identifier, metadata and bytes of one month's report, reproducibly."""
    begins_at, random = datetime(2024, month, 1, tzinfo=UTC), Random(month)
    members: dict[str, list[str]] = {name: [header] for name, header in HEADERS.items()}
    states: Counter[str] = Counter()
    for id in range(first, first + JOBS_PER_MONTH):
        created_at = begins_at + timedelta(
            seconds=(id - first) * 30 * 86_400 / JOBS_PER_MONTH + random.random() * 3_600
        )
        states[_add_job(members, id, created_at, month, random)] += 1
    identifier = f"{(begins_at + timedelta(days=31)).timestamp():.2f}"
    content = _tar_gz({f"{identifier}.{name}.tsv": lines for name, lines in members.items()})
    metadata = {
        "version": 3,
        "galaxy_version": "24.1",
        "generated": identifier,
        "report_hash": f"sha256:{hashlib.sha256(content).hexdigest()}",
        "metrics": {},
        "users": {"active": 17 + month, "total": 52 + month},
        "jobs": dict(states),
    }
    return identifier, orjson.dumps(metadata), content


def _add_job(members: dict[str, list[str]], id: int, created_at: datetime, month: int, random: Random) -> str:
    """Add a job with its metrics and datasets; returns its state."""
    (tool,) = random.choices(TOOLS, cum_weights=list(accumulate(tool.share for tool in TOOLS)))
    # Some users try a new version before all have it.
    version = tool.versions[-1 if random.random() < (month - 9) / 4 else 0]
    state = "error" if random.random() < tool.error_rate else "ok"
    seconds = tool.seconds * math.exp(random.gauss(0, 0.7))
    members["jobs"].append(f"{id}\t{tool.id}\t{version}\t{state}\t{created_at:%Y-%m-%d %H:%M:%S.%f}")
    slots = 8 if tool.seconds > 300 else 1
    for name, value in (("galaxy_slots", f"{slots}.0000000"), ("runtime_seconds", f"{seconds:.7f}")):
        members["metric_num"].append(f"{id}\tcore\t{name}\t{value}")
    for number, (direction, extension) in enumerate((("input", tool.reads), ("output", tool.writes))):
        size = int(seconds * random.uniform(2e5, 2e6))
        members["datasets"].append(f"{id}\t{2 * id + number}\t{extension}\t{size}\t{direction}1\t{direction}")
    return state


def _tar_gz(members: dict[str, list[str]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, lines in members.items():
            content = "".join(f"{line}\n" for line in lines).encode()
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return gzip.compress(buffer.getvalue(), mtime=0)
