"""Docker-compatible daemons: dockerd, podman's service."""

from __future__ import annotations

from typing import Any, Optional, Union

from ._handle import Handle, finish, take_json, take_strings, taking
from ._library import lib, local_path, text, utf8, utf8_or_none
from ._medium import Blocking, Medium
from ._options import Options
from ._wait import UNSET, Call, CancelToken, Progress, Timeout, calling, run, seconds
from .image import Image, ImageFacts
from .index import IndexFacts
from .layer import Path, Sink, stored
from .reference import AnyReference, reference

#: What a daemon tells, in its own words.
Json = dict[str, Any]


class DaemonFacts(Medium):
    """A daemon, whoever waits for its calls."""

    __slots__ = ()

    @property
    def host(self) -> str:
        """The address that it was reached at."""
        return text(lib.parb_daemon_host(self._handle)) or ""

    @property
    def api_version(self) -> str:
        """The API version that is spoken with it, such as "1.41"."""
        return text(lib.parb_daemon_api_version(self._handle)) or ""

    @staticmethod
    def _connect(host: Optional[str]) -> Call[Handle]:
        return calling(lib.parb_daemon_connect_start, utf8_or_none(host), None, take=taking("daemon"))

    def _ping(self) -> Call[None]:
        return calling(lib.parb_daemon_ping_start, self._handle, None, take=finish)

    def _version(self) -> Call[Json]:
        return calling(lib.parb_daemon_version_start, self._handle, None, take=take_json)

    def _list(self, pattern: Optional[str]) -> Call[list[Json]]:
        return calling(lib.parb_daemon_list_start, self._handle, utf8_or_none(pattern), None, take=take_json)

    def _inspect(self, name: str) -> Call[Json]:
        return calling(lib.parb_daemon_inspect_start, self._handle, utf8(name), None, take=take_json)

    def _history(self, name: str) -> Call[list[Json]]:
        return calling(lib.parb_daemon_history_start, self._handle, utf8(name), None, take=take_json)

    def _image(self, name: str, options: Options) -> Call[Handle]:
        return calling(lib.parb_daemon_image_start, self._handle, utf8(name), options, take=taking("image"))

    def _load(
        self, what: Union[ImageFacts, IndexFacts], name: Optional[AnyReference], platform: Optional[str]
    ) -> Call[list[str]]:
        if isinstance(what, ImageFacts):
            start = lib.parb_daemon_load_start
        elif isinstance(what, IndexFacts):
            start = lib.parb_daemon_load_index_start
        else:
            raise TypeError(f"an image or an index is wanted, not {type(what).__name__}")
        given, options = None if name is None else reference(name)._handle, Options().platform(platform)
        return calling(start, self._handle, what._handle, given, options, take=take_strings)

    def _load_archive(self, path: Path) -> Call[list[str]]:
        return calling(lib.parb_daemon_load_archive_start, self._handle, local_path(path), None, take=take_strings)

    def _tag(self, name: str, new: AnyReference) -> Call[None]:
        start, given = lib.parb_daemon_tag_start, reference(new)._handle
        return calling(start, self._handle, utf8(name), given, None, take=finish)

    def _remove(self, name: str) -> Call[None]:
        return calling(lib.parb_daemon_remove_start, self._handle, utf8(name), None, take=finish)


class Daemon(DaemonFacts, Blocking):
    """A Docker-compatible daemon that answered once. It holds no connection: each call makes its own."""

    __slots__ = ()

    def __init__(
        self, host: Optional[str] = None, *, timeout: Timeout = UNSET, cancel: Optional[CancelToken] = None
    ) -> None:
        """Asks a daemon which API it speaks.

        host: unix://PATH, tcp://HOST[:PORT], http://… or https://…; None: what $DOCKER_HOST names, else
        unix:///var/run/docker.sock. DOCKER_API_VERSION, DOCKER_TLS_VERIFY and DOCKER_CERT_PATH are heeded.
        timeout: seconds for this, and for each call that is not given its own.
        """
        limit = seconds(timeout, None)
        super().__init__(run(self._connect(host), limit, cancel), limit)

    def ping(self, *, timeout: Timeout = UNSET, cancel: Optional[CancelToken] = None) -> None:
        """Asks whether the daemon answers still."""
        run(self._ping(), seconds(timeout, self._timeout), cancel)

    def version(self, *, timeout: Timeout = UNSET, cancel: Optional[CancelToken] = None) -> Json:
        """What the daemon tells of itself, in its own words (GET /version)."""
        return run(self._version(), seconds(timeout, self._timeout), cancel)

    def images(
        self, pattern: Optional[str] = None, *, timeout: Timeout = UNSET, cancel: Optional[CancelToken] = None
    ) -> list[Json]:
        """The images that the daemon has, in its own words: "Id", "RepoTags", "Created", "Size" and more.

        pattern: what names have to match, such as "app" or "app:*".
        """
        return run(self._list(pattern), seconds(timeout, self._timeout), cancel)

    def inspect(self, name: str, *, timeout: Timeout = UNSET, cancel: Optional[CancelToken] = None) -> Json:
        """What the daemon knows of one image, by name or id, in its own words."""
        return run(self._inspect(name), seconds(timeout, self._timeout), cancel)

    def history(self, name: str, *, timeout: Timeout = UNSET, cancel: Optional[CancelToken] = None) -> list[Json]:
        """How an image came about, its last step first, in the daemon's own words."""
        return run(self._history(name), seconds(timeout, self._timeout), cancel)

    def image(
        self,
        name: str,
        *,
        format: Optional[str] = None,
        sink: Optional[Sink] = None,
        compression: Optional[str] = None,
        level: int = 0,
        timeout: Timeout = UNSET,
        cancel: Optional[CancelToken] = None,
        progress: Optional[Progress] = None,
    ) -> Image:
        """An image of the daemon, by name or id. All of it is read now, into a file without a name in $TMPDIR.

        format: whose media types the manifest carries, "docker" without it.
        sink, compression, level: have the layers compressed on the way.
        """
        call = self._image(name, stored(sink, compression, level).format(format))
        return Image(run(call, seconds(timeout, self._timeout), cancel, progress), self._timeout)

    def load(
        self,
        what: Union[ImageFacts, IndexFacts],
        name: Optional[AnyReference] = None,
        *,
        platform: Optional[str] = None,
        timeout: Timeout = UNSET,
        cancel: Optional[CancelToken] = None,
        progress: Optional[Progress] = None,
    ) -> list[str]:
        """Gives the daemon an image under a name, or without one. Gives what the daemon said.

        Of an index it is the image for `platform` (linux/amd64 without it): daemons take no indexes.
        """
        return run(self._load(what, name, platform), seconds(timeout, self._timeout), cancel, progress)

    def load_archive(
        self,
        path: Path,
        *,
        timeout: Timeout = UNSET,
        cancel: Optional[CancelToken] = None,
        progress: Optional[Progress] = None,
    ) -> list[str]:
        """Gives the daemon an archive as it is; the names in it become names of the daemon's images."""
        return run(self._load_archive(path), seconds(timeout, self._timeout), cancel, progress)

    def tag(
        self, name: str, new: AnyReference, *, timeout: Timeout = UNSET, cancel: Optional[CancelToken] = None
    ) -> None:
        """Gives an image, by name or id, one more name."""
        run(self._tag(name, new), seconds(timeout, self._timeout), cancel)

    def remove(self, name: str, *, timeout: Timeout = UNSET, cancel: Optional[CancelToken] = None) -> None:
        """Takes a name away, and with an image's last name the image."""
        run(self._remove(name), seconds(timeout, self._timeout), cancel)
