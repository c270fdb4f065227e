"""Asking one server's executors: what answers clients by plan, compiled and not, and the reference."""

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from documents.mongo import raw
from graph.context import Context
from graph.engine.admission import Admission, Capacity
from graph.engine.plan import Plans
from graph.engine.prepare import DocumentCache, PreparedDocument
from graph.http.graphql import EXECUTOR_HEADER, GraphQLHandler
from graph.http.response import JSONBytesResponse
from graph.limits import Limits
from graph.metrics.registry import Metrics
from graph.schema import schema
from resolvers.access.viewer import ANONYMOUS, Viewer
from resolvers.reads.answer_budget import AnswerBudget, AnswerLimits
from resolvers.reads.loaders import RequestLoader

LARGE = Limits(characters=500_000, tokens=50_000, depth=40, aliases=1_000, directives=1_000, fields=50_000)
"""Whether a document is too large is asked before any executor is."""


@contextmanager
def without_extensions() -> Iterator[None]:
    """Compile plans in the block as on a machine without the project's C extensions."""
    before, raw.COMPILED = raw.COMPILED, False
    try:
        yield
    finally:
        raw.COMPILED = before


@dataclass(frozen=True)
class Answers:
    """The answers of both executors to one request."""

    planned: bytes
    reference: bytes
    by: str
    """planned, stepped-aside, reference, or empty where the request was refused."""

    @property
    def has_errors(self) -> bool:
        """Whether the answer holds errors."""
        return b'"errors":[' in self.reference and "errors" in orjson.loads(self.reference)

    @property
    def agree(self) -> bool:
        """Whether both are the same bytes.

        Where the plan fell back the reference answered twice. Of several errors it tells the one that was met
        first, which is a matter of which read ended first, so then the data must be the same, and there be errors.
        """
        if self.by == "planned" or self.planned == self.reference:
            return self.planned == self.reference
        planned, reference = (orjson.loads(answer) for answer in (self.planned, self.reference))
        return "errors" in planned and "errors" in reference and planned["data"] == reference["data"]

    @property
    def data(self) -> Any:
        """The data of the answer, as a client parses it."""
        return orjson.loads(self.planned)["data"]


def _handler(document_cache: DocumentCache, limits: AnswerLimits, *, reference: bool = False) -> GraphQLHandler:
    async def context(authorization: str | None) -> Context:
        assert authorization is not None
        return Context(RequestLoader(pickle.loads(authorization.encode("latin-1")), AnswerBudget(limits)))

    admission = Admission(Capacity(slots=16, memory=1_000_000_000))
    return GraphQLHandler(
        document_cache,
        context,
        Metrics(),
        admission,
        lambda: False,
        lambda: None,
        use_reference_executor=reference,
        expose_executor=True,
    )


@dataclass
class RecompilingCache(DocumentCache):
    """Compiles plans of its own for documents that another cache has parsed and validated."""

    source: DocumentCache = field(kw_only=True)

    def _parse_and_validate(self, text: str) -> PreparedDocument:
        prepared = self.source.prepare(text)
        return replace(prepared, plans=Plans(self.planner, prepared.document))


@dataclass
class Both:
    """A server with plans and one without, which remember the same documents, and one that is not compiled."""

    document_cache: DocumentCache = field(default_factory=lambda: DocumentCache(schema, LARGE))
    limits: AnswerLimits = field(default_factory=AnswerLimits)

    def __post_init__(self) -> None:
        self._plans = _handler(self.document_cache, self.limits)
        self._reference = _handler(self.document_cache, self.limits, reference=True)
        self._uncompiled = _handler(RecompilingCache(schema, LARGE, source=self.document_cache), self.limits)

    async def ask_plan(self, query: str, viewer: Viewer = ANONYMOUS, /, **variables: Any) -> bytes:
        """The answer of the server with plans."""
        return _body(await self._plans(_request(orjson.dumps({"query": query, "variables": variables}), viewer)))

    async def ask(self, query: str, viewer: Viewer = ANONYMOUS, /, **variables: Any) -> Answers:
        """Both answers to a query."""
        return await self.post({"query": query, "variables": variables}, viewer)

    async def post(self, asked: dict[str, Any], viewer: Viewer = ANONYMOUS, /) -> Answers:
        """Both answers to what is posted."""
        body = orjson.dumps(asked)
        planned = await self._plans(_request(body, viewer))
        reference = await self._reference(_request(body, viewer))
        return Answers(_body(planned), _body(reference), planned.headers.get(EXECUTOR_HEADER, ""))

    async def same(self, query: str, viewer: Viewer = ANONYMOUS, /, **variables: Any) -> Answers:
        """Both answers, which must agree, also where nothing is compiled, and on what they cost."""
        answers = await self.ask(query, viewer, **variables)
        with without_extensions():
            body = orjson.dumps({"query": query, "variables": variables})
            plain = replace(answers, planned=_body(await self._uncompiled(_request(body, viewer))))
        costed = await self.post({"query": query, "variables": variables, "extensions": {"cost": True}}, viewer)
        for each in (answers, plain, costed):
            assert each.agree, f"{each.planned!r} is not {each.reference!r}"
        return answers


def _request(body: bytes, viewer: Viewer) -> Request:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"authorization", pickle.dumps(viewer)),
    ]
    return Request({"type": "http", "method": "POST", "path": "/graphql", "headers": headers}, receive)


def _body(response: Response) -> bytes:
    assert isinstance(response, JSONBytesResponse)
    return b"".join(response.parts)
