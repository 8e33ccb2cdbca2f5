"""Docker-compatible daemons for asyncio."""

from __future__ import annotations

from typing import Optional, Union

from .._loop import run
from .._medium import Awaited
from .._wait import UNSET, Progress, Timeout, seconds
from ..daemon import DaemonFacts, Json
from ..image import ImageFacts
from ..index import IndexFacts
from ..layer import Path, Sink, stored
from ..reference import AnyReference
from .image import AsyncImage


class AsyncDaemon(DaemonFacts, Awaited):
    """A Docker-compatible daemon that answered once. It holds no connection: each call makes its own."""

    __slots__ = ()

    @classmethod
    async def connect(cls, host: Optional[str] = None, *, timeout: Timeout = UNSET) -> AsyncDaemon:
        """Asks a daemon which API it speaks.

        host: unix://PATH, tcp://HOST[:PORT], http://… or https://…; None: what $DOCKER_HOST names, else
        unix:///var/run/docker.sock. DOCKER_API_VERSION, DOCKER_TLS_VERIFY and DOCKER_CERT_PATH are heeded.
        timeout: seconds for this, and for each call that is not given its own.
        """
        limit = seconds(timeout, None)
        return cls(await run(cls._connect(host), limit), limit)

    async def ping(self, *, timeout: Timeout = UNSET) -> None:
        """Asks whether the daemon answers still."""
        await run(self._ping(), seconds(timeout, self._timeout))

    async def version(self, *, timeout: Timeout = UNSET) -> Json:
        """What the daemon tells of itself, in its own words (GET /version)."""
        return await run(self._version(), seconds(timeout, self._timeout))

    async def images(self, pattern: Optional[str] = None, *, timeout: Timeout = UNSET) -> list[Json]:
        """The images that the daemon has, in its own words: "Id", "RepoTags", "Created", "Size" and more.

        pattern: what names have to match, such as "app" or "app:*".
        """
        return await run(self._list(pattern), seconds(timeout, self._timeout))

    async def inspect(self, name: str, *, timeout: Timeout = UNSET) -> Json:
        """What the daemon knows of one image, by name or id, in its own words."""
        return await run(self._inspect(name), seconds(timeout, self._timeout))

    async def history(self, name: str, *, timeout: Timeout = UNSET) -> list[Json]:
        """How an image came about, its last step first, in the daemon's own words."""
        return await run(self._history(name), seconds(timeout, self._timeout))

    async def image(
        self,
        name: str,
        *,
        format: Optional[str] = None,
        sink: Optional[Sink] = None,
        compression: Optional[str] = None,
        level: int = 0,
        timeout: Timeout = UNSET,
        progress: Optional[Progress] = None,
    ) -> AsyncImage:
        """An image of the daemon, by name or id. All of it is read now, into a file without a name in $TMPDIR.

        format: whose media types the manifest carries, "docker" without it.
        sink, compression, level: have the layers compressed on the way.
        """
        call = self._image(name, stored(sink, compression, level).format(format))
        return AsyncImage(await run(call, seconds(timeout, self._timeout), None, progress), self._timeout)

    async def load(
        self,
        what: Union[ImageFacts, IndexFacts],
        name: Optional[AnyReference] = None,
        *,
        platform: Optional[str] = None,
        timeout: Timeout = UNSET,
        progress: Optional[Progress] = None,
    ) -> list[str]:
        """Gives the daemon an image under a name, or without one. Gives what the daemon said.

        Of an index it is the image for `platform` (linux/amd64 without it): daemons take no indexes.
        """
        return await run(self._load(what, name, platform), seconds(timeout, self._timeout), None, progress)

    async def load_archive(
        self,
        path: Path,
        *,
        timeout: Timeout = UNSET,
        progress: Optional[Progress] = None,
    ) -> list[str]:
        """Gives the daemon an archive as it is; the names in it become names of the daemon's images."""
        return await run(self._load_archive(path), seconds(timeout, self._timeout), None, progress)

    async def tag(self, name: str, new: AnyReference, *, timeout: Timeout = UNSET) -> None:
        """Gives an image, by name or id, one more name."""
        await run(self._tag(name, new), seconds(timeout, self._timeout))

    async def remove(self, name: str, *, timeout: Timeout = UNSET) -> None:
        """Takes a name away, and with an image's last name the image."""
        await run(self._remove(name), seconds(timeout, self._timeout))
