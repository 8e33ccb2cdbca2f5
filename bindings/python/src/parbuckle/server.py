"""A registry in this process, for tests and for small needs."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Mapping
from typing import Any, Optional

from ._handle import Handle, strings_of
from ._library import check, lib, local_path, text, utf8
from ._wait import SLICE_MS, Context
from .layer import Path


class Server:
    """A registry that serves from when it is made until it is stopped: `with Server() as server: …`."""

    __slots__ = ("_handle", "_requests", "ca_pem", "url")

    #: Where the server is, such as "http://127.0.0.1:5000".
    url: str
    #: The certificate of the server's own authority, in PEM; None where it has none.
    ca_pem: Optional[str]

    def __init__(
        self,
        *,
        address: Optional[str] = None,
        storage_dir: Optional[Path] = None,
        users: Optional[Mapping[str, str]] = None,
        token_auth: Optional[int] = None,
        anonymous_read: bool = False,
        tls_domain: Optional[str] = None,
        tls_files: Optional[tuple[Path, Path]] = None,
        faults: Iterable[tuple[str, str, int, str]] = (),
    ) -> None:
        """Starts a registry: in memory, on a free port of 127.0.0.1, for everybody.

        address: where to listen, IP:PORT.
        storage_dir: keeps everything in a directory.
        users: names and passwords of those who are let in.
        token_auth: has them show tokens that are good for so many seconds.
        anonymous_read: lets everybody read.
        tls_domain: serves by TLS with a certificate for this name, of an authority made for the occasion: `ca_pem`.
        tls_files: serves by TLS with this certificate and key.
        faults: what to do wrong: method ("*": any), path ("*" stands for any text), which of the requests that fit
        (from 1; 0: all), and "reset@50%", "stall", "truncate", "wrong-digest", "drop-reply", "delay=MS",
        "401 expired", "429 retry-after=1", "500", "status=NNN".
        """
        options = Handle("server_options", lib.parb_server_options_new())
        if address is not None:
            lib.parb_server_options_set_address(options, utf8(address))
        if storage_dir is not None:
            lib.parb_server_options_set_storage_dir(options, local_path(storage_dir))
        for user, password in (users or {}).items():
            lib.parb_server_options_add_user(options, utf8(user), utf8(password))
        if token_auth is not None:
            lib.parb_server_options_set_token_auth(options, token_auth)
        if anonymous_read:
            lib.parb_server_options_set_anonymous_read(options)
        if tls_domain is not None:
            lib.parb_server_options_set_tls_domain(options, utf8(tls_domain))
        if tls_files is not None:
            lib.parb_server_options_set_tls_files(options, *map(local_path, tls_files))
        for method, path, nth, fault in faults:
            lib.parb_server_options_add_fault(options, utf8(method), utf8(path), nth, utf8(fault))
        handle = Handle("server")
        check(lib.parb_serve(options, None, handle.out))
        self.url, self.ca_pem = text(lib.parb_server_url(handle)) or "", text(lib.parb_server_ca_pem(handle))
        self._handle: Optional[Handle] = handle
        self._requests: list[dict[str, Any]] = []

    @property
    def host(self) -> str:
        """The same as references write it, such as "127.0.0.1:5000"."""
        return self.url.partition("://")[2]

    def requests(self) -> list[dict[str, Any]]:
        """The latest requests, oldest first: "n", "method", "path", "status", "user_agent" and more, and "fault".

        After the end they are those that there were until then.
        """
        if self._handle:
            lines = Handle("strings")
            check(lib.parb_server_requests(self._handle, lines.out))
            self._requests = [json.loads(line) for line in strings_of(lines) or []]
        return list(self._requests)

    def stop(self, *, timeout: Optional[float] = 5.0) -> None:
        """Takes no more requests, waits for those that run, and ends. TimedOutError: some were cut off."""
        handle = self._handle
        if handle:
            try:
                self._stop(handle, timeout)
            finally:
                self.requests()
                self._handle = None  # the last reference, and so the port and the directory are free

    @staticmethod
    def _stop(handle: Handle, timeout: Optional[float]) -> None:
        ctx, outcome = Context(timeout), []

        def wait() -> None:
            # The library's call cuts requests off where its time ends, so it can't be made in slices.
            outcome.append(lib.parb_server_stop(handle, ctx))

        thread = threading.Thread(target=wait, name="parbuckle-stop", daemon=True)
        thread.start()
        try:
            while thread.is_alive():
                thread.join(SLICE_MS / 1000)
        except BaseException:
            ctx.cancel()
            raise
        check(outcome[0])

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<parbuckle.Server {self.url}>"
