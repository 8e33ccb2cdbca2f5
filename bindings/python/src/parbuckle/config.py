"""Image configs."""

from __future__ import annotations

import ctypes
from typing import Optional

from ._handle import Handle, bytes_of, map_of, strings_of
from ._library import check, lib, text, utf8


class Config:
    """An image's config. Immutable."""

    __slots__ = ("_handle",)
    _handle: Handle

    def __init__(self, json: bytes) -> None:
        """Reads a config. Raises MalformedError for what is none."""
        self._handle = Handle("config")
        data = (ctypes.c_uint8 * len(json)).from_buffer_copy(json)
        check(lib.parb_config_parse(data, len(json), None, self._handle.out))

    @classmethod
    def _of(cls, handle: Handle) -> Config:
        made = cls.__new__(cls)
        made._handle = handle
        return made

    @property
    def json(self) -> bytes:
        """The exact bytes."""
        return bytes_of(lib.parb_config_json, self._handle)

    @property
    def platform(self) -> Optional[str]:
        """What the image runs on, such as "linux/arm64/v8"; None where that is not said."""
        return text(lib.parb_config_platform(self._handle))

    @property
    def created(self) -> Optional[str]:
        """When the image was made, in RFC 3339; None where that is not said."""
        return text(lib.parb_config_created(self._handle))

    @property
    def user(self) -> Optional[str]:
        """The user."""
        return text(lib.parb_config_user(self._handle))

    @property
    def workdir(self) -> Optional[str]:
        """The working directory."""
        return text(lib.parb_config_working_dir(self._handle))

    @property
    def entrypoint(self) -> Optional[list[str]]:
        """The entry point."""
        return strings_of(lib.parb_config_entrypoint(self._handle))

    @property
    def cmd(self) -> Optional[list[str]]:
        """The command."""
        return strings_of(lib.parb_config_cmd(self._handle))

    @property
    def env(self) -> dict[str, str]:
        """The environment. `env_list` has it as it is written."""
        found: dict[str, str] = {}
        for name, equals, value in (entry.partition("=") for entry in self.env_list):
            if equals:
                found.setdefault(name, value)  # as getenv: the first one counts
        return found

    @property
    def env_list(self) -> list[str]:
        """The environment, each entry "NAME=VALUE"."""
        return strings_of(lib.parb_config_env(self._handle)) or []

    def getenv(self, name: str) -> Optional[str]:
        """One variable's value; None where it is not set."""
        return text(lib.parb_config_env_get(self._handle, utf8(name)))

    @property
    def labels(self) -> dict[str, str]:
        """The labels."""
        return map_of(lib.parb_config_labels(self._handle))

    @property
    def exposed_ports(self) -> list[str]:
        """The exposed ports, such as "80/tcp"."""
        return strings_of(lib.parb_config_exposed_ports(self._handle)) or []

    @property
    def volumes(self) -> list[str]:
        """The volumes."""
        return strings_of(lib.parb_config_volumes(self._handle)) or []

    @property
    def stop_signal(self) -> Optional[str]:
        """The stop signal."""
        return text(lib.parb_config_stop_signal(self._handle))

    @property
    def diff_ids(self) -> list[str]:
        """The digests of the uncompressed layers, base first."""
        return strings_of(lib.parb_config_diff_ids(self._handle)) or []

    def __repr__(self) -> str:
        return f"<parbuckle.Config {self.platform}>"
