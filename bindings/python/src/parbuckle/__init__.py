"""parbuckle: pull, change and push container images.

    with parbuckle.Client() as client:
        base = client.pull("alpine:3.20")
        layer = parbuckle.Layer.from_file("app.tar", sink=client.repository("registry.example/app"))
        client.push("registry.example/app:1", base.edit().add_layer(layer).env(APP_MODE="production").build())

`AsyncClient` is the same for asyncio, `Server` a registry for tests. Failures are subclasses of `Error`.
"""

from ._version import __version__
from ._wait import UNSET, CancelToken
from .aio import AsyncClient, AsyncImage, AsyncImageBuilder, AsyncIndex, AsyncLayer, AsyncReader
from .builder import ImageBuilder
from .client import Client
from .config import Config
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
from .image import Image
from .index import Index
from .keychain import Keychain
from .layer import Layer, LayerBuilder, Sink
from .reference import Descriptor, Reference
from .server import Server
from .stream import LayerReader, LayerWriter

__all__ = [
    "UNSET",
    "AlreadyExistsError",
    "AsyncClient",
    "AsyncImage",
    "AsyncImageBuilder",
    "AsyncIndex",
    "AsyncLayer",
    "AsyncReader",
    "CallbackError",
    "CancelToken",
    "CancelledError",
    "Client",
    "Config",
    "DeniedError",
    "Descriptor",
    "DigestMismatchError",
    "Error",
    "ForkedError",
    "Image",
    "ImageBuilder",
    "Index",
    "InternalError",
    "InvalidArgumentError",
    "InvalidStateError",
    "IoError",
    "Keychain",
    "Layer",
    "LayerBuilder",
    "LayerReader",
    "LayerWriter",
    "LimitExceededError",
    "MalformedError",
    "NotFoundError",
    "ProtocolError",
    "RateLimitedError",
    "Reference",
    "Server",
    "Sink",
    "TimedOutError",
    "TlsError",
    "UnauthenticatedError",
    "UnavailableError",
    "UnsupportedError",
    "__version__",
]
