"""Credentials."""

from __future__ import annotations

from ctypes import c_void_p

from ._handle import Handle
from ._library import lib, utf8


class Keychain:
    """Which credentials go to which registry. Immutable. Without arguments: `default`."""

    __slots__ = ("_handle",)
    _handle: Handle

    def __init__(self) -> None:
        self._handle = Handle("keychain", lib.parb_keychain_default())

    @classmethod
    def _of(cls, address: int) -> Keychain:
        made = cls.__new__(cls)
        made._handle = Handle("keychain", address)
        return made

    @classmethod
    def default(cls) -> Keychain:
        """What docker login or podman login left behind, read here and now."""
        return cls()

    @classmethod
    def anonymous(cls) -> Keychain:
        """No credentials for anybody."""
        return cls._of(lib.parb_keychain_anonymous())

    @classmethod
    def basic(cls, registry: str, user: str, password: str) -> Keychain:
        """User and password for one registry: host, or host:port."""
        return cls._of(lib.parb_keychain_basic(utf8(registry), utf8(user), utf8(password)))

    @classmethod
    def bearer(cls, registry: str, token: str) -> Keychain:
        """A token for one registry, sent as it is."""
        return cls._of(lib.parb_keychain_bearer(utf8(registry), utf8(token)))

    @classmethod
    def chain(cls, *keychains: Keychain) -> Keychain:
        """Several keychains: the first that knows something is believed."""
        array = (c_void_p * len(keychains))(*(k._handle.p for k in keychains))
        return cls._of(lib.parb_keychain_chain(array, len(keychains)))
