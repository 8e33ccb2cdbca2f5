"""Clients: what talks to registries."""

from __future__ import annotations

import atexit
import json
import os
import time
import weakref
from collections.abc import Iterable
from typing import Any, Optional, Union

from ._handle import Handle, buf_of, finish, taking
from ._library import check, lib, local_path, utf8
from ._options import Options
from ._wait import SLICE_MS, UNSET, Call, CancelToken, Context, Progress, Timeout, run, seconds
from .errors import Error, TimedOutError
from .image import Image, ImageFacts
from .index import Index, IndexFacts
from .keychain import Keychain
from .layer import LayerFacts, Path, Sink
from .reference import AnyReference, Descriptor, reference, take_descriptor

#: How long the end of the process waits for clients that nobody closed.
_AT_EXIT = 1.0


class ClientBase:
    """What clients have in common, whoever waits for their calls."""

    __slots__ = ("__weakref__", "_handle", "timeout")

    def __init__(
        self,
        *,
        timeout: Optional[float] = None,
        user_agent: Optional[str] = None,
        keychain: Optional[Keychain] = None,
        ca_pem: Optional[str] = None,
        ca_file: Optional[Path] = None,
        plain_http: Iterable[str] = (),
        connect_timeout: float = 10.0,
        first_byte_timeout: float = 30.0,
        idle_timeout: float = 30.0,
        attempts: int = 5,
        first_delay: float = 0.25,
    ) -> None:
        """A client; it opens no connection yet.

        timeout: seconds for each call that is not given its own; None: no limit but the next three.
        user_agent: what stands first in the User-Agent header.
        keychain: credentials; without it, what docker login or podman login left behind.
        ca_pem, ca_file: certificates to trust besides the system's, as text or as a file.
        plain_http: registries that are spoken to without TLS. Loopback names need no listing.
        connect_timeout, first_byte_timeout, idle_timeout: seconds to wait for a connection, for an answer to begin,
        and for the next byte.
        attempts, first_delay: how often a request is tried at most, and how many seconds lie between the first two.
        """
        options = Handle("client_options", lib.parb_client_options_new())
        if user_agent is not None:
            lib.parb_client_options_set_user_agent(options, utf8(user_agent))
        if keychain is not None:
            lib.parb_client_options_set_keychain(options, keychain._handle)
        if ca_pem is not None:
            lib.parb_client_options_add_ca_pem(options, utf8(ca_pem))
        if ca_file is not None:
            lib.parb_client_options_add_ca_file(options, local_path(ca_file))
        if isinstance(plain_http, str):
            raise TypeError("plain_http: several registries are wanted, not one str")
        for registry in plain_http:
            lib.parb_client_options_add_plain_http(options, utf8(registry))
        limits = (int(s * 1000) for s in (connect_timeout, first_byte_timeout, idle_timeout))
        lib.parb_client_options_set_timeouts_ms(options, *limits)
        if not 0 <= attempts < 1 << 32:
            raise ValueError(f"attempts: {attempts}")
        lib.parb_client_options_set_retry(options, attempts, int(first_delay * 1000))
        self._handle = Handle("client")
        check(lib.parb_client_new(options, self._handle.out))
        #: Seconds for each call that is not given its own.
        self.timeout = timeout
        _open.add(self)

    @property
    def stats(self) -> dict[str, Any]:
        """What the client has done so far: bytes and threads of each stage, requests, retries."""
        buf = Handle("buf")
        check(lib.parb_client_stats(self._handle, buf.out))
        found: dict[str, Any] = json.loads(buf_of(buf))
        return found

    def repository(self, repository: AnyReference) -> Sink:
        """A repository as a sink for new layers. The tag and digest of the reference play no part."""
        handle = Handle("sink")
        check(lib.parb_sink_repository(self._handle, reference(repository)._handle, handle.out))
        return Sink(handle, self.timeout)

    def _end(self, timeout: float) -> bool:
        """Ends everything that runs; whether it is gone after so long."""
        ctx = Context(timeout)
        try:
            check(lib.parb_client_close(self._handle, ctx))
        except TimedOutError:
            return False
        finally:
            ctx.free()
        _open.discard(self)
        return True

    def _resolve(self, name: AnyReference, platform: Optional[str]) -> Call[Descriptor]:
        ref, options, start = reference(name), Options().platform(platform), lib.parb_resolve_start
        return Call(lambda ctx, op: start(self._handle, ref._handle, options, ctx, op), take_descriptor)

    def _pull(self, name: AnyReference, platform: Optional[str]) -> Call[Handle]:
        ref, options, start = reference(name), Options().platform(platform), lib.parb_pull_start
        return Call(lambda ctx, op: start(self._handle, ref._handle, options, ctx, op), taking("image"))

    def _pull_index(self, name: AnyReference) -> Call[Handle]:
        ref, start = reference(name), lib.parb_pull_index_start
        return Call(lambda ctx, op: start(self._handle, ref._handle, None, ctx, op), taking("index"))

    def _push(
        self,
        name: AnyReference,
        what: Union[ImageFacts, IndexFacts, LayerFacts],
        kind: type,
        jobs: Optional[int],
        mount_from: Optional[AnyReference],
        foreign_layers: bool = False,
    ) -> Call[None]:
        if not isinstance(what, kind):
            raise TypeError(f"{kind.__name__.replace('Facts', '')} is wanted here, not {type(what).__name__}")
        if kind is ImageFacts:
            start = lib.parb_push_start
        elif kind is IndexFacts:
            start = lib.parb_push_index_start
        else:
            start = lib.parb_push_layer_start
        ref = reference(name)
        options = Options().push(jobs, None if mount_from is None else reference(mount_from), foreign_layers)
        handle, pushed = self._handle, what._handle
        return Call(lambda ctx, op: start(handle, ref._handle, pushed, options, ctx, op), finish)


class Client(ClientBase):
    """Talks to registries; shared between threads. Use it in `with`, or `close` it.

    Every call takes `timeout` (seconds), `cancel` (a CancelToken) and `progress` (called with the bytes moved and the
    bytes known, on the thread that waits). Ctrl-C ends a call within a tenth of a second.
    """

    __slots__ = ()

    def resolve(
        self,
        reference: AnyReference,
        *,
        platform: Optional[str] = None,
        timeout: Timeout = UNSET,
        cancel: Optional[CancelToken] = None,
        progress: Optional[Progress] = None,
    ) -> Descriptor:
        """What a reference names; with `platform`, the image for it in an index."""
        return run(self._resolve(reference, platform), seconds(timeout, self.timeout), cancel, progress)

    def pull(
        self,
        reference: AnyReference,
        *,
        platform: Optional[str] = None,
        timeout: Timeout = UNSET,
        cancel: Optional[CancelToken] = None,
        progress: Optional[Progress] = None,
    ) -> Image:
        """The image that a reference names; of an index, the one for `platform` (linux/amd64).

        Its manifest is fetched and verified now, its config and layers when they are asked for.
        """
        handle = run(self._pull(reference, platform), seconds(timeout, self.timeout), cancel, progress)
        return Image(handle, self.timeout)

    def pull_index(
        self,
        reference: AnyReference,
        *,
        timeout: Timeout = UNSET,
        cancel: Optional[CancelToken] = None,
        progress: Optional[Progress] = None,
    ) -> Index:
        """The index that a reference names."""
        handle = run(self._pull_index(reference), seconds(timeout, self.timeout), cancel, progress)
        return Index(handle, self.timeout)

    def push(
        self,
        reference: AnyReference,
        image: ImageFacts,
        *,
        jobs: Optional[int] = None,
        mount_from: Optional[AnyReference] = None,
        foreign_layers: bool = False,
        timeout: Timeout = UNSET,
        cancel: Optional[CancelToken] = None,
        progress: Optional[Progress] = None,
    ) -> None:
        """Puts an image where the reference says: the blobs that the repository lacks, the manifest, the tag.

        `jobs`: how many blobs at once. `mount_from`: a repository of the same registry that may have the blobs.
        """
        call = self._push(reference, image, ImageFacts, jobs, mount_from, foreign_layers)
        run(call, seconds(timeout, self.timeout), cancel, progress)

    def push_index(
        self,
        reference: AnyReference,
        index: IndexFacts,
        *,
        jobs: Optional[int] = None,
        mount_from: Optional[AnyReference] = None,
        foreign_layers: bool = False,
        timeout: Timeout = UNSET,
        cancel: Optional[CancelToken] = None,
        progress: Optional[Progress] = None,
    ) -> None:
        """Puts an index, and everything below it, where the reference says."""
        call = self._push(reference, index, IndexFacts, jobs, mount_from, foreign_layers)
        run(call, seconds(timeout, self.timeout), cancel, progress)

    def push_layer(
        self,
        repository: AnyReference,
        layer: LayerFacts,
        *,
        mount_from: Optional[AnyReference] = None,
        timeout: Timeout = UNSET,
        cancel: Optional[CancelToken] = None,
        progress: Optional[Progress] = None,
    ) -> None:
        """Makes sure that a layer's blob is in a repository."""
        run(
            self._push(repository, layer, LayerFacts, None, mount_from),
            seconds(timeout, self.timeout),
            cancel,
            progress,
        )

    def close(self, *, timeout: Optional[float] = 10.0) -> None:
        """Ends everything that runs on the client, and waits until it is gone.

        Afterwards the values made through it raise InvalidStateError where they need the network, and keep their facts.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        slice = SLICE_MS / 1000
        while not self._end(slice if deadline is None else min(slice, deadline - time.monotonic())):
            if deadline is not None and time.monotonic() >= deadline:
                raise TimedOutError("the client's calls are ending still", code="TIMED_OUT")

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


_open: weakref.WeakSet[ClientBase] = weakref.WeakSet()


def _close_all() -> None:
    """Nothing is to run when the interpreter is taken down."""
    deadline = time.monotonic() + _AT_EXIT
    for client in list(_open):
        try:
            client._end(deadline - time.monotonic())
        except Error:
            pass  # there is nobody left to tell


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_open.clear)
