"""Images for asyncio."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Optional, Union

from .._loop import run
from .._times import Time
from .._wait import UNSET, Progress, Timeout, seconds
from ..builder import BuilderBase
from ..config import Config
from ..files import Files
from ..image import Image, ImageFacts, NewImage
from ..layer import LayerFacts, Sink, stored
from ..report import Report
from .layer import AsyncLayer, AsyncReader


class AsyncImage(ImageFacts):
    """An image: immutable, shared between threads. Keeps alive what its blobs are read from."""

    __slots__ = ()

    @classmethod
    async def from_config(
        cls,
        config: Union[Config, bytes],
        layers: Iterable[LayerFacts],
        *,
        format: Optional[str] = None,
        timeout: Timeout = UNSET,
        progress: Optional[Progress] = None,
    ) -> AsyncImage:
        """An image from its config, which stays byte for byte, and its layers; the manifest is made for them."""
        limit = seconds(timeout, None)
        return cls(await run(NewImage.from_config(config, layers, format), limit, None, progress), limit)

    @classmethod
    async def random(
        cls,
        layers: int,
        layer_size: int,
        seed: int = 0,
        *,
        format: Optional[str] = None,
        sink: Optional[Sink] = None,
        compression: Optional[str] = None,
        level: int = 0,
        timeout: Timeout = UNSET,
        progress: Optional[Progress] = None,
    ) -> AsyncImage:
        """An image of so many random layers, the same for the same seed, for linux/amd64."""
        options, limit = stored(sink, compression, level).format(format), seconds(timeout, None)
        return cls(await run(NewImage.random(layers, layer_size, seed, options), limit, None, progress), limit)

    @property
    def layers(self) -> tuple[AsyncLayer, ...]:
        """The layers, base first. Nothing is read yet."""
        return tuple(AsyncLayer(handle, self._timeout) for handle in self._layers())

    async def config(
        self,
        *,
        timeout: Timeout = UNSET,
        progress: Optional[Progress] = None,
    ) -> Config:
        """The config: fetched the first time, from memory afterwards."""
        return Config._of(await run(self._config(), seconds(timeout, self._timeout), None, progress))

    async def validate(
        self,
        *,
        jobs: Optional[int] = None,
        timeout: Timeout = UNSET,
        progress: Optional[Progress] = None,
    ) -> None:
        """Reads every blob to its end and checks all that `examine` does; raises the first thing that is wrong."""
        await run(self._validate(jobs), seconds(timeout, self._timeout), None, progress)

    async def examine(
        self,
        *,
        jobs: Optional[int] = None,
        fast: bool = False,
        timeout: Timeout = UNSET,
        progress: Optional[Progress] = None,
    ) -> Report:
        """Everything that is wrong with the image: digests, sizes, diff ids, media types, what parts say of each other.

        `fast`: reads only the config, and looks whether the layers are there.
        """
        return await run(self._examine(jobs, fast), seconds(timeout, self._timeout), None, progress)

    async def compare(
        self,
        other: ImageFacts,
        *,
        files: bool = False,
        timeout: Timeout = UNSET,
        progress: Optional[Progress] = None,
    ) -> Report:
        """Every difference from another image, with `files` file by file. Findings have the field as subject."""
        return await run(self._compare(other, files), seconds(timeout, self._timeout), None, progress)

    async def recompress(
        self,
        *,
        sink: Optional[Sink] = None,
        compression: Optional[str] = None,
        level: int = 0,
        jobs: Optional[int] = None,
        timeout: Timeout = UNSET,
        progress: Optional[Progress] = None,
    ) -> AsyncImage:
        """The image with every layer compressed so, or its plain layers as gzip. Config and diff ids stay."""
        call = self._recompress(stored(sink, compression, level).jobs(jobs))
        return AsyncImage(await run(call, seconds(timeout, self._timeout), None, progress), self._timeout)

    async def with_time(
        self,
        time: Time,
        *,
        sink: Optional[Sink] = None,
        compression: Optional[str] = None,
        level: int = 0,
        jobs: Optional[int] = None,
        timeout: Timeout = UNSET,
        progress: Optional[Progress] = None,
    ) -> AsyncImage:
        """The image with one time everywhere: in every entry of every layer, in the config and in its history."""
        call = self._with_time(time, stored(sink, compression, level).jobs(jobs))
        return AsyncImage(await run(call, seconds(timeout, self._timeout), None, progress), self._timeout)

    async def canonical(
        self,
        *,
        sink: Optional[Sink] = None,
        compression: Optional[str] = None,
        level: int = 0,
        jobs: Optional[int] = None,
        timeout: Timeout = UNSET,
        progress: Optional[Progress] = None,
    ) -> AsyncImage:
        """The image without what depends on when and where it was built: the zero time, and nothing of the builder."""
        call = self._canonical(stored(sink, compression, level).jobs(jobs))
        return AsyncImage(await run(call, seconds(timeout, self._timeout), None, progress), self._timeout)

    async def rebase(
        self,
        old_base: ImageFacts,
        new_base: ImageFacts,
        *,
        name: Optional[str] = None,
        timeout: Timeout = UNSET,
        progress: Optional[Progress] = None,
    ) -> AsyncImage:
        """The image on another base. `old_base` must be its lowest layers; `name`: of the new base, for annotations."""
        call = self._rebase(old_base, new_base, name)
        return AsyncImage(await run(call, seconds(timeout, self._timeout), None, progress), self._timeout)

    async def convert(
        self,
        format: str,
        *,
        timeout: Timeout = UNSET,
        progress: Optional[Progress] = None,
    ) -> AsyncImage:
        """The image in the media types of "docker" or "oci". No blob changes."""
        return AsyncImage(
            await run(self._convert(format), seconds(timeout, self._timeout), None, progress), self._timeout
        )

    def filesystem(self, *, timeout: Timeout = UNSET, progress: Optional[Progress] = None) -> AsyncReader:
        """A reader of the image's file system as one tar: what a container made of it sees."""
        return AsyncReader(self._filesystem(), 0, seconds(timeout, self._timeout), progress)

    async def files(self, *, timeout: Timeout = UNSET, progress: Optional[Progress] = None) -> Files:
        """Every path of the image's file system: a directory before what is in it, sorted by name, with its layer."""
        return await run(self._files(), seconds(timeout, self._timeout), None, progress)

    def open_file(self, path: str, *, timeout: Timeout = UNSET, progress: Optional[Progress] = None) -> AsyncReader:
        """A reader of one file of the image's file system; symbolic links are followed within the image."""
        return AsyncReader(self._open_file(path), 0, seconds(timeout, self._timeout), progress)

    async def read_file(self, path: str, *, timeout: Timeout = UNSET) -> bytes:
        """The content of one file of the image's file system."""
        async with self.open_file(path, timeout=timeout) as reader:
            return await reader.read()

    async def flatten(
        self,
        *,
        sink: Optional[Sink] = None,
        compression: Optional[str] = None,
        level: int = 0,
        timeout: Timeout = UNSET,
        progress: Optional[Progress] = None,
    ) -> AsyncImage:
        """The image with one layer in place of all, and one line of history."""
        call = self._flatten(stored(sink, compression, level))
        return AsyncImage(await run(call, seconds(timeout, self._timeout), None, progress), self._timeout)

    async def edit_file(
        self,
        path: str,
        data: Any,
        *,
        sink: Optional[Sink] = None,
        compression: Optional[str] = None,
        level: int = 0,
        timeout: Timeout = UNSET,
        progress: Optional[Progress] = None,
    ) -> AsyncImage:
        """The image with another content of one file, which is a layer on top. Mode and owner of the old file stay."""
        call = self._edit_file(path, data, stored(sink, compression, level))
        return AsyncImage(await run(call, seconds(timeout, self._timeout), None, progress), self._timeout)

    async def remove_file(
        self,
        path: str,
        *,
        sink: Optional[Sink] = None,
        compression: Optional[str] = None,
        level: int = 0,
        timeout: Timeout = UNSET,
        progress: Optional[Progress] = None,
    ) -> AsyncImage:
        """The image without a file, or a directory with all that is in it, by a layer on top that hides it."""
        call = self._remove_file(path, stored(sink, compression, level))
        return AsyncImage(await run(call, seconds(timeout, self._timeout), None, progress), self._timeout)

    def edit(self) -> AsyncImageBuilder:
        """A builder of an image like this one."""
        return AsyncImageBuilder(self)

    @property
    def blocking(self) -> Image:
        """The same image with calls that block."""
        return Image(self._handle, self._timeout)


class AsyncImageBuilder(BuilderBase):
    """Notes changes to an image: `image.edit().env(A="b").build()`. One thread at a time.

    Each method gives the builder back; the first mistake is reported by `build`.
    """

    __slots__ = ()

    async def build(
        self,
        *,
        format: Optional[str] = None,
        timeout: Timeout = UNSET,
        progress: Optional[Progress] = None,
    ) -> AsyncImage:
        """Makes the image; the builder can go on and build again. Moves no layer; fetches the base's config.

        `format`, "oci" or "docker", is for images from scratch.
        """
        handle = await run(self._build(format), seconds(timeout, self._timeout), None, progress)
        return AsyncImage(handle, self._timeout)
