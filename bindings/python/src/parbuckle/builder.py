"""Makes images out of images."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Optional, TypeVar, Union

from ._handle import Handle, strings_from, taking
from ._library import lib, utf8, utf8_or_none
from ._options import Options
from ._wait import UNSET, Call, CancelToken, Progress, Timeout, run, seconds
from .config import Config
from .image import Image, ImageFacts
from .index import IndexFacts
from .layer import LayerFacts

B = TypeVar("B", bound="BuilderBase")

#: A time: in RFC 3339, or with a time zone.
Time = Union[str, datetime.datetime]


class BuilderBase:
    """Notes changes to an image. Each method gives the builder back; the first mistake is reported by `build`."""

    __slots__ = ("_handle", "_timeout")

    def __init__(self, base: Optional[ImageFacts] = None) -> None:
        """Without a base: an image from scratch."""
        self._handle = Handle("image_builder", lib.parb_image_builder_new(base._handle if base else None))
        self._timeout = base._timeout if base else None

    def add_layer(
        self: B,
        layer: LayerFacts,
        *,
        created_by: Optional[str] = None,
        author: Optional[str] = None,
        comment: Optional[str] = None,
        created: Optional[Time] = None,
    ) -> B:
        """Puts a layer on top. The keywords say what the history tells of it."""
        told = (utf8_or_none(created_by), utf8_or_none(author), utf8_or_none(comment), _time(created))
        lib.parb_image_builder_add_layer(self._handle, layer._handle)
        if any(text is not None for text in told):
            lib.parb_image_builder_set_history(self._handle, *told)
        return self

    def env(self: B, name: Optional[str] = None, value: Optional[str] = None, /, **variables: str) -> B:
        """Sets environment variables: `env(PATH="/bin")`, or `env("PATH", "/bin")`."""
        for key, text in _pairs(name, value, variables):
            lib.parb_image_builder_set_env(self._handle, utf8(key), utf8(text))
        return self

    def unset_env(self: B, *names: str) -> B:
        """Removes environment variables."""
        for name in names:
            lib.parb_image_builder_set_env(self._handle, utf8(name), None)
        return self

    def entrypoint(self: B, argv: Optional[Sequence[str]]) -> B:
        """Sets the entry point; None removes it. The command stays as it is."""
        argument = None if argv is None else strings_from(argv)
        lib.parb_image_builder_set_entrypoint(self._handle, argument if argument else None)
        return self

    def cmd(self: B, argv: Optional[Sequence[str]]) -> B:
        """Sets the command; None removes it."""
        argument = None if argv is None else strings_from(argv)
        lib.parb_image_builder_set_cmd(self._handle, argument if argument else None)
        return self

    def user(self: B, user: Optional[str]) -> B:
        """Sets the user; None removes it."""
        lib.parb_image_builder_set_user(self._handle, utf8_or_none(user))
        return self

    def workdir(self: B, path: Optional[str]) -> B:
        """Sets the working directory; None removes it."""
        lib.parb_image_builder_set_working_dir(self._handle, utf8_or_none(path))
        return self

    def label(self: B, key: str, value: Optional[str]) -> B:
        """Sets a label of the config; None removes it."""
        lib.parb_image_builder_set_label(self._handle, utf8(key), utf8_or_none(value))
        return self

    def annotation(self: B, key: str, value: Optional[str]) -> B:
        """Sets an annotation of the manifest; None removes it."""
        lib.parb_image_builder_set_annotation(self._handle, utf8(key), utf8_or_none(value))
        return self

    def expose(self: B, *ports: str) -> B:
        """Adds exposed ports, such as "80/tcp"."""
        for port in ports:
            lib.parb_image_builder_add_exposed_port(self._handle, utf8(port))
        return self

    def unexpose_all(self: B) -> B:
        """Drops the exposed ports there are so far."""
        lib.parb_image_builder_add_exposed_port(self._handle, None)
        return self

    def volume(self: B, *paths: str) -> B:
        """Adds volumes."""
        for path in paths:
            lib.parb_image_builder_add_volume(self._handle, utf8(path))
        return self

    def drop_volumes(self: B) -> B:
        """Drops the volumes there are so far."""
        lib.parb_image_builder_add_volume(self._handle, None)
        return self

    def stop_signal(self: B, signal: Optional[str]) -> B:
        """Sets the stop signal, such as "SIGTERM"; None removes it."""
        lib.parb_image_builder_set_stop_signal(self._handle, utf8_or_none(signal))
        return self

    def platform(self: B, platform: str) -> B:
        """Sets what the image runs on, such as "linux/arm64/v8"."""
        lib.parb_image_builder_set_platform(self._handle, utf8(platform))
        return self

    def created(self: B, time: Time) -> B:
        """Sets when the image was made. Without it the base's time stays: never "now"."""
        lib.parb_image_builder_set_created(self._handle, _time(time))
        return self

    def author(self: B, author: Optional[str]) -> B:
        """Sets the author; None removes it."""
        lib.parb_image_builder_set_author(self._handle, utf8_or_none(author))
        return self

    def config(self: B, config: Config) -> B:
        """Replaces the whole config, byte for byte unless more changes follow."""
        lib.parb_image_builder_set_config(self._handle, config._handle)
        return self

    def subject(self: B, subject: Union[ImageFacts, IndexFacts]) -> B:
        """Sets the manifest that the new one refers to. Without it the base's subject stays."""
        image = isinstance(subject, ImageFacts)
        lent = lib.parb_image_descriptor if image else lib.parb_index_descriptor
        lib.parb_image_builder_set_subject(self._handle, lent(subject._handle))
        return self

    def _build(self, format: Optional[str]) -> Call[Handle]:
        options, start = Options().format(format), lib.parb_image_builder_build_start
        return Call(lambda ctx, op: start(self._handle, options, ctx, op), taking("image"))


class ImageBuilder(BuilderBase):
    """Notes changes to an image: `image.edit().env(A="b").build()`. One thread at a time.

    Each method gives the builder back; the first mistake is reported by `build`.
    """

    __slots__ = ()

    def build(
        self,
        *,
        format: Optional[str] = None,
        timeout: Timeout = UNSET,
        cancel: Optional[CancelToken] = None,
        progress: Optional[Progress] = None,
    ) -> Image:
        """Makes the image; the builder can go on and build again. Moves no layer; fetches the base's config.

        `format`, "oci" or "docker", is for images from scratch.
        """
        handle = run(self._build(format), seconds(timeout, self._timeout), cancel, progress)
        return Image(handle, self._timeout)


def _pairs(name: Optional[str], value: Optional[str], more: dict[str, str]) -> list[tuple[str, str]]:
    if (name is None) != (value is None):
        raise TypeError("a name needs a value; unset_env removes a variable")
    named = [] if name is None or value is None else [(name, value)]
    return named + list(more.items())


def _time(time: Optional[Time]) -> Optional[bytes]:
    if isinstance(time, datetime.datetime):
        if time.tzinfo is None:
            raise ValueError("a time without a time zone")
        return utf8(time.isoformat().replace("+00:00", "Z"))
    return utf8_or_none(time)
