"""The same names for asyncio, awaited: cancelling the task cancels the transfer."""

from .archive import AsyncArchive
from .cache import AsyncCache
from .client import AsyncClient
from .daemon import AsyncDaemon
from .image import AsyncImage, AsyncImageBuilder
from .index import AsyncIndex, AsyncIndexBuilder
from .layer import AsyncLayer, AsyncLayerBuilder, AsyncReader
from .layout import AsyncLayout
from .memory import AsyncMemoryStore

__all__ = [
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
]
