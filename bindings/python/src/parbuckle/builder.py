"""Makes images out of images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Optional, TypeVar, Union

from ._handle import Handle, octets, strings_from, taking
from ._library import lib, natural, utf8, utf8_or_none
from ._options import Options
from ._times import Time, time_text
from ._wait import UNSET, Call, CancelToken, Progress, Timeout, run, seconds
from .config import Config
from .image import Image, ImageFacts
from .index import IndexFacts
from .layer import LayerFacts

B = TypeVar("B", bound="BuilderBase")


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
        media_type: Optional[str] = None,
        annotations: Optional[Mapping[str, str]] = None,
        urls: Optional[Sequence[str]] = None,
    ) -> B:
        """Puts a layer on top. The first four keywords say what the history tells of it.

        media_type: in place of the one that its content and the image's family give.
        annotations: of its descriptor.
        urls: where else it can be had; such a layer is pushed only with `foreign_layers`.
        """
        lib.parb_image_builder_add_layer(self._handle, layer._handle)
        self._history(created_by, author, comment, created)
        return self._describe(media_type, annotations, urls)

    def replace_layer(
        self: B,
        i: int,
        layer: LayerFacts,
        *,
        created_by: Optional[str] = None,
        author: Optional[str] = None,
        comment: Optional[str] = None,
        created: Optional[Time] = None,
        media_type: Optional[str] = None,
        annotations: Optional[Mapping[str, str]] = None,
        urls: Optional[Sequence[str]] = None,
    ) -> B:
        """Puts another layer in the place of one, counted from the base; its line of history stays unless it is told.

        The keywords are those of `add_layer`.
        """
        lib.parb_image_builder_replace_layer(self._handle, natural("layer", i), layer._handle)
        self._history(created_by, author, comment, created)
        return self._describe(media_type, annotations, urls)

    def remove_layer(self: B, i: int) -> B:
        """Takes a layer away, counted from the base, as the layers are by now; its history and diff id go with it."""
        lib.parb_image_builder_remove_layer(self._handle, natural("layer", i))
        return self

    def annotate_layer(self: B, i: int, key: str, value: Optional[str]) -> B:
        """Sets an annotation of the descriptor of any layer, counted from the base; None removes it."""
        args = natural("layer", i), utf8(key), utf8_or_none(value)
        lib.parb_image_builder_annotate_layer(self._handle, *args)
        return self

    def add_empty_layer(
        self: B,
        *,
        created_by: Optional[str] = None,
        author: Optional[str] = None,
        comment: Optional[str] = None,
        created: Optional[Time] = None,
    ) -> B:
        """Adds a line of history for a step that made no layer."""
        lib.parb_image_builder_add_empty_layer(self._handle)
        return self._history(created_by, author, comment, created)

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

    def clear_env(self: B) -> B:
        """Takes the whole environment away."""
        lib.parb_image_builder_clear_env(self._handle)
        return self

    def entrypoint(self: B, argv: Optional[Sequence[str]]) -> B:
        """Sets the entry point; None removes it. The command stays as it is."""
        lib.parb_image_builder_set_entrypoint(self._handle, _strings(argv))
        return self

    def cmd(self: B, argv: Optional[Sequence[str]]) -> B:
        """Sets the command; None removes it."""
        lib.parb_image_builder_set_cmd(self._handle, _strings(argv))
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

    def clear_labels(self: B) -> B:
        """Takes all labels away."""
        lib.parb_image_builder_clear_labels(self._handle)
        return self

    def annotation(self: B, key: str, value: Optional[str]) -> B:
        """Sets an annotation of the manifest; None removes it."""
        lib.parb_image_builder_set_annotation(self._handle, utf8(key), utf8_or_none(value))
        return self

    def clear_annotations(self: B) -> B:
        """Takes all annotations of the manifest away."""
        lib.parb_image_builder_clear_annotations(self._handle)
        return self

    def config_annotation(self: B, key: str, value: Optional[str]) -> B:
        """Sets an annotation of the config's descriptor; None removes it."""
        lib.parb_image_builder_set_config_annotation(self._handle, utf8(key), utf8_or_none(value))
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

    def healthcheck(
        self: B,
        test: Union[str, Sequence[str], None],
        *,
        interval: float = 0,
        timeout: float = 0,
        start_period: float = 0,
        retries: int = 0,
    ) -> B:
        """Sets how to see whether a container is well; None removes it.

        test: a command for the shell, or ["CMD", …], ["CMD-SHELL", …] or ["NONE"].
        interval, timeout, start_period: seconds; 0, as for `retries`: unsaid.
        """
        argv = _strings(["CMD-SHELL", test] if isinstance(test, str) else test)
        times = (round(s * 1_000_000_000) for s in (interval, timeout, start_period))
        lib.parb_image_builder_set_healthcheck(self._handle, argv, *times, retries)
        return self

    def shell(self: B, argv: Optional[Sequence[str]]) -> B:
        """Sets the shell of build steps; None removes it."""
        lib.parb_image_builder_set_shell(self._handle, _strings(argv))
        return self

    def on_build(self: B, steps: Optional[Sequence[str]]) -> B:
        """Sets the build steps for images on top of this one; None removes them."""
        lib.parb_image_builder_set_on_build(self._handle, _strings(steps))
        return self

    def platform(self: B, platform: str) -> B:
        """Sets what the image runs on, such as "linux/arm64/v8"."""
        lib.parb_image_builder_set_platform(self._handle, utf8(platform))
        return self

    def created(self: B, time: Time) -> B:
        """Sets when the image was made. Without it the base's time stays: never "now"."""
        lib.parb_image_builder_set_created(self._handle, time_text(time))
        return self

    def author(self: B, author: Optional[str]) -> B:
        """Sets the author; None removes it."""
        lib.parb_image_builder_set_author(self._handle, utf8_or_none(author))
        return self

    def config(self: B, config: Config) -> B:
        """Replaces the whole config, byte for byte unless more changes follow."""
        lib.parb_image_builder_set_config(self._handle, config._handle)
        return self

    def raw_config(self: B, data: Any, media_type: str) -> B:
        """Replaces the config by any bytes of any type, as artifacts have it."""
        content = octets(data)
        lib.parb_image_builder_set_raw_config(self._handle, content, len(content), utf8(media_type))
        return self

    def config_media_type(self: B, media_type: str) -> B:
        """Says what the config is; its bytes stay."""
        lib.parb_image_builder_set_config_media_type(self._handle, utf8(media_type))
        return self

    def media_type(self: B, media_type: str) -> B:
        """Says what the manifest is, and nothing else."""
        lib.parb_image_builder_set_media_type(self._handle, utf8(media_type))
        return self

    def format(self: B, format: str) -> B:
        """Has manifest, config and every layer carry the media types of "docker" or "oci"."""
        lib.parb_image_builder_set_format(self._handle, utf8(format))
        return self

    def artifact_type(self: B, artifact_type: Optional[str]) -> B:
        """Says what kind of artifact it is; None removes that."""
        lib.parb_image_builder_set_artifact_type(self._handle, utf8_or_none(artifact_type))
        return self

    def subject(self: B, subject: Union[ImageFacts, IndexFacts, None]) -> B:
        """Sets the manifest that the new one refers to; None removes it. Without a call the base's subject stays."""
        if subject is None:
            lib.parb_image_builder_clear_subject(self._handle)
        else:
            lib.parb_image_builder_set_subject(self._handle, lent_descriptor(subject))
        return self

    def _history(
        self: B, created_by: Optional[str], author: Optional[str], comment: Optional[str], created: Optional[Time]
    ) -> B:
        told = (utf8_or_none(created_by), utf8_or_none(author), utf8_or_none(comment), time_text(created))
        if any(text is not None for text in told):
            lib.parb_image_builder_set_history(self._handle, *told)
        return self

    def _describe(
        self: B,
        media_type: Optional[str],
        annotations: Optional[Mapping[str, str]],
        urls: Optional[Sequence[str]],
    ) -> B:
        if media_type is not None:
            lib.parb_image_builder_set_layer_media_type(self._handle, utf8(media_type))
        for key, value in (annotations or {}).items():
            lib.parb_image_builder_set_layer_annotation(self._handle, utf8(key), utf8(value))
        if urls is not None:
            lib.parb_image_builder_set_layer_urls(self._handle, strings_from(urls))
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


def lent_descriptor(subject: Union[ImageFacts, IndexFacts]) -> Any:
    """The descriptor that the value lends."""
    lend = lib.parb_image_descriptor if isinstance(subject, ImageFacts) else lib.parb_index_descriptor
    return lend(subject._handle)


def _strings(items: Optional[Sequence[str]]) -> Optional[Handle]:
    return None if items is None else strings_from(items)
