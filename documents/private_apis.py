"""Private names of libraries that faster or stricter code of ours uses.

Each is known for one version of its library. Version and names are checked before they are used; where they do not
match, the library's public API is used, and the server logs that when it starts. `docs/development/private-apis.md` has
the reason for each, and the steps to take when its library is upgraded.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pkgutil import resolve_name


@dataclass(frozen=True)
class PrivateAPI:
    """Private names of a library, which any of its releases may change."""

    library: str
    """The module that holds the library's version."""
    version: str
    """Major and minor version for which the names are known."""
    names: tuple[str, ...]
    """Names, each as `module:name`."""
    fallback: str
    """The fallback without these names, as the end of a sentence."""

    @cached_property
    def problem(self) -> str | None:
        """The reason why the names are not used, None when they are."""
        module = import_module(self.library)
        installed = str(getattr(module, "__version__", None) or module.version)
        if installed.split(".")[:2] != self.version.split("."):
            return f"{self.library} {installed} is installed, and the names are known for {self.version}"
        missing = [name for name in self.names if not _exists(name)]
        return f"{self.library} {installed} has no {missing[0]}" if missing else None


POOL = PrivateAPI(
    "pymongo",
    "4.20",
    (
        "pymongo._csot:remaining",
        "pymongo.asynchronous.pool:AsyncConnection.add_server_api",
        "pymongo.asynchronous.pool:AsyncConnection.close_conn",
        "pymongo.asynchronous.pool:AsyncConnection.idle_time_seconds",
        "pymongo.asynchronous.pool:AsyncConnection._raise_connection_failure",
        "pymongo.asynchronous.pool:Pool.stale_generation",
        "pymongo.asynchronous.pool:Pool.checkin",
        "pymongo.asynchronous.pool:Pool._checkin_apply",
        "pymongo.asynchronous.topology:Topology.get_server_by_address",
        "pymongo.asynchronous.mongo_client:AsyncMongoClient._conn_for_reads",
        "pymongo.message:_op_msg",
        "pymongo.message:_OpMsg.unpack",
        "pymongo.pool_shared:PoolState.READY",
    ),
    "finds go through the driver's cursors, which take two to three times the CPU",
)
TOPOLOGY = PrivateAPI(
    "pymongo",
    "4.20",
    (
        "pymongo.asynchronous.topology:Topology.get_server_selection_timeout",
        "pymongo.asynchronous.topology:Topology.select_servers",
        "pymongo.asynchronous.topology:Topology._process_change",
        "pymongo.asynchronous.pool:Pool.ready",
        "pymongo.asynchronous.pool:Pool.reset",
        "pymongo.asynchronous.mongo_client:AsyncMongoClient._init_background",
        "pymongo.server_description:ServerDescription.last_update_time",
    ),
    "operations wait for a primary until the driver's own timeout",
)
RAW_BSON = PrivateAPI(
    "pymongo",
    "4.20",
    ("bson:_raw_to_dict", "bson.codec_options:_RAW_BSON_DOCUMENT_MARKER"),
    "documents are read as dictionaries, and large answers take about twice as long",
)
GATHERING = PrivateAPI(
    "graphql",
    "3.3",
    ("graphql.execution.executor:gather_with_cancel",),
    "the standard executor cancels fields that have not begun, and Python may warn of these",
)
HTTP_PROTOCOL = PrivateAPI(
    "uvicorn",
    "0.54",
    (
        "uvicorn.protocols.http.httptools_impl:HttpToolsProtocol._start_asgi_task",
        "uvicorn.protocols.http.httptools_impl:HttpToolsProtocol._unset_keepalive_if_required",
        "uvicorn.protocols.http.httptools_impl:HttpToolsProtocol._should_upgrade",
        "uvicorn.protocols.http.httptools_impl:HttpToolsProtocol.handle_websocket_upgrade",
        "uvicorn.protocols.http.httptools_impl:HttpToolsProtocol.on_response_complete",
        "uvicorn.protocols.http.httptools_impl:HttpToolsProtocol.timeout_keep_alive_handler",
        "uvicorn.protocols.http.httptools_impl:RequestResponseCycle",
        "uvicorn.protocols.http.flow_control:HIGH_WATER_LIMIT",
        "uvicorn.protocols.http.flow_control:FlowControl",
        "uvicorn.protocols.websockets.websockets_sansio_impl:WebSocketsSansIOProtocol.handle_connect",
        "uvicorn.protocols.websockets.websockets_sansio_impl:WebSocketsSansIOProtocol.handle_cont",
        "uvicorn.protocols.websockets.websockets_sansio_impl:WebSocketsSansIOProtocol.handle_parser_exception",
        "uvicorn.protocols.websockets.websockets_sansio_impl:WebSocketsSansIOProtocol.send_receive_event_to_app",
    ),
    "uvicorn's own protocol serves HTTP: only a proxy limits request heads and clients that do not read",
)

ALL = (POOL, TOPOLOGY, RAW_BSON, GATHERING, HTTP_PROTOCOL)


def warnings() -> Iterator[str]:
    """A sentence about each private API that is not used."""
    for api in ALL:
        if api.problem:
            yield f"Private names of a library are not used, because {api.problem}: {api.fallback}."


def _exists(name: str) -> bool:
    try:
        resolve_name(name)
    except (ImportError, AttributeError):
        return False
    return True
