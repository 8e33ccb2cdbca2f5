"""parbuckle: pull, change and push container images.

    with parbuckle.Client() as client:
        base = client.pull("alpine:3.20")
        layer = parbuckle.Layer.from_file("app.tar", sink=client.repository("registry.example/app"))
        client.push("registry.example/app:1", base.edit().add_layer(layer).env(APP_MODE="production").build())

Images also lie in a `Layout`, an `Archive`, a `Daemon` or a `MemoryStore`, and are read through a `Cache`. What begins
with `Async` is the same for asyncio; `Server` is a registry for tests. Failures are subclasses of `Error`.
"""

from ._version import __version__
from ._wait import UNSET, CancelToken
from .aio import (
    AsyncArchive,
    AsyncCache,
    AsyncClient,
    AsyncDaemon,
    AsyncImage,
    AsyncImageBuilder,
    AsyncIndex,
    AsyncIndexBuilder,
    AsyncLayer,
    AsyncLayerBuilder,
    AsyncLayout,
    AsyncMemoryStore,
    AsyncReader,
)
from .archive import Archive
from .builder import ImageBuilder
from .cache import Cache
from .client import Client
from .config import Config
from .daemon import Daemon
from .errors import (
    AlreadyExistsError,
    CallbackError,
    CancelledError,
    DeniedError,
    DigestMismatchError,
    Error,
    ForkedError,
    InternalError,
    InvalidArgumentError,
    InvalidStateError,
    IoError,
    LimitExceededError,
    MalformedError,
    NotFoundError,
    ProtocolError,
    RateLimitedError,
    TimedOutError,
    TlsError,
    UnauthenticatedError,
    UnavailableError,
    UnsupportedError,
)
from .files import File, Files
from .image import Image
from .index import Index
from .index_builder import IndexBuilder
from .keychain import Keychain
from .layer import Layer, Sink
from .layer_builder import LayerBuilder
from .layout import Layout
from .matcher import Matcher
from .memory import MemoryStore
from .reference import Descriptor, Reference
from .report import Finding, Report
from .server import Server
from .stream import LayerReader, LayerWriter

__all__ = [
    "UNSET",
    "AlreadyExistsError",
    "Archive",
    "AsyncArchive",
    "AsyncCache",
    "AsyncClient",
    "AsyncDaemon",
    "AsyncImage",
    "AsyncImageBuilder",
    "AsyncIndex",
    "AsyncIndexBuilder",
    "AsyncLayer",
    "AsyncLayerBuilder",
    "AsyncLayout",
    "AsyncMemoryStore",
    "AsyncReader",
    "Cache",
    "CallbackError",
    "CancelToken",
    "CancelledError",
    "Client",
    "Config",
    "Daemon",
    "DeniedError",
    "Descriptor",
    "DigestMismatchError",
    "Error",
    "File",
    "Files",
    "Finding",
    "ForkedError",
    "Image",
    "ImageBuilder",
    "Index",
    "IndexBuilder",
    "InternalError",
    "InvalidArgumentError",
    "InvalidStateError",
    "IoError",
    "Keychain",
    "Layer",
    "LayerBuilder",
    "LayerReader",
    "LayerWriter",
    "Layout",
    "LimitExceededError",
    "MalformedError",
    "Matcher",
    "MemoryStore",
    "NotFoundError",
    "ProtocolError",
    "RateLimitedError",
    "Reference",
    "Report",
    "Server",
    "Sink",
    "TimedOutError",
    "TlsError",
    "UnauthenticatedError",
    "UnavailableError",
    "UnsupportedError",
    "__version__",
]
