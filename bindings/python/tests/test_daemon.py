"""Real daemons: $PARB_TEST_DOCKERD and $PARB_TEST_PODMAN are where they listen."""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path

import parbuckle
import pytest
from parbuckle import Archive, AsyncDaemon, Daemon, IndexBuilder

from support import image_of

HOSTS = {name: host for name in ("PARB_TEST_DOCKERD", "PARB_TEST_PODMAN") if (host := os.environ.get(name))}
every_daemon = pytest.mark.parametrize("host", HOSTS.values(), ids=HOSTS)
NAME = "parbuckle-python:1"


@every_daemon
def test_round_trip(host: str, tmp_path: Path) -> None:
    image = image_of(200_000).edit().cmd(["/none"]).build()
    with Daemon(host, timeout=60) as daemon:
        assert daemon.host == host and daemon.api_version.startswith("1.")
        daemon.ping()
        assert daemon.version()["ApiVersion"]
        told: list[tuple[int, int]] = []
        said = daemon.load(image, NAME, progress=lambda *now: told.append(now))
        assert any(NAME in line for line in said) and told
        try:
            assert daemon.load(image, NAME) == [], "it had it"
            back = daemon.image(NAME, compression="gzip", format="oci")
            assert back.config().json == image.config().json and back.layers[0].media_type.endswith("+gzip")
            back.validate()
            found = daemon.inspect(NAME)
            assert [one["Id"] for one in daemon.images("parbuckle-python")] == [found["Id"]]
            assert daemon.history(NAME)
            daemon.tag(found["Id"], "parbuckle-python:2")
            daemon.remove("parbuckle-python:2")
        finally:
            daemon.remove(NAME)
        with pytest.raises(parbuckle.NotFoundError):
            daemon.image(NAME)

        daemon.load(IndexBuilder().add(image).build(), NAME, platform="linux/amd64")
        daemon.remove(NAME)
        Archive.write(tmp_path / "a.tar", {NAME: image})
        assert any(NAME in line for line in daemon.load_archive(tmp_path / "a.tar"))
        daemon.remove(NAME)
    with pytest.raises(parbuckle.InvalidStateError):
        daemon.ping()


@every_daemon
def test_asyncio(host: str) -> None:
    async def main() -> None:
        async with await AsyncDaemon.connect(host) as daemon:
            await daemon.load(image_of(1000), NAME)
            try:
                assert (await (await daemon.image(NAME)).config()).platform == "linux/amd64"
            finally:
                await daemon.remove(NAME)

    asyncio.run(main())


def test_nobody_there() -> None:
    with tempfile.TemporaryDirectory() as directory, pytest.raises(parbuckle.UnavailableError):
        Daemon(f"unix://{directory}/none.sock")
