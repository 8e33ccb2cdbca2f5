"""The process around: forks, garbage, exits."""

from __future__ import annotations

import gc
import itertools
import multiprocessing
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import parbuckle

from support import Site, descriptors, image_of, settles, threads


def in_child(work: Any) -> str:
    """What `work` says in a forked child; killed if it hangs."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            import signal

            signal.alarm(20)
            said = str(work())
        except BaseException as e:
            said = f"{type(e).__name__}: {e}"
        os.write(write_end, said.encode())
        os._exit(0)
    os.close(write_end)
    with open(read_end, "rb") as pipe:
        said = pipe.read().decode()
    _, status = os.waitpid(pid, 0)
    return said if status == 0 else f"ended with {status} after {said!r}"


def test_fork() -> None:
    with Site(idle=20) as site:
        name = site.name("a:1")
        image = image_of()
        site.client.push(name, image)
        back = site.client.pull(name)
        back.config()
        reader = back.layers[0].open()

        def forked(use: Any) -> str:
            try:
                use()
            except parbuckle.ForkedError as e:
                return e.code
            return "no error"

        for use in (
            lambda: site.client.pull(name),
            lambda: site.client.push(name, image),
            lambda: back.layers[0].open(),
            lambda: reader.read(),
            lambda: site.client.close(),
        ):
            assert in_child(lambda: forked(use)) == "FORKED"

        def anew() -> str:
            with parbuckle.Client(keychain=parbuckle.Keychain.anonymous()) as client:
                digest = client.pull(name).layers[0].digest
                gc.collect()
                return digest

        assert in_child(anew) == image.layers[0].digest
        assert in_child(lambda: (back.digest, back.config().platform)) == str((image.digest, "linux/amd64"))

        def dropped() -> str:
            nonlocal back, reader
            del back, reader
            gc.collect()
            return anew()

        assert in_child(dropped) == image.layers[0].digest

        def twice() -> str:
            return in_child(anew)

        assert in_child(twice) == image.layers[0].digest
        assert len(reader.read()) == back.layers[0].size, "and the parent works on"


def pull(name: str) -> str:
    with parbuckle.Client(keychain=parbuckle.Keychain.anonymous()) as client:
        return client.pull(name).digest


def test_multiprocessing() -> None:
    with Site(idle=20) as site:
        site.client.push(site.name("a:1"), image_of())
        for method in ("fork", "spawn"):
            with multiprocessing.get_context(method).Pool(2) as pool:
                assert set(pool.map(pull, [site.name("a:1")] * 6)) == {image_of().digest}


def test_any_order_of_ends() -> None:
    """Whatever goes first, nothing crashes and nothing stays."""
    gc.collect()
    before = threads(), descriptors()
    with Site(idle=20) as site:
        site.client.push(site.name("a:1"), image_of(1_000_000))
        for order in itertools.permutations(range(5)):
            client = parbuckle.Client(keychain=parbuckle.Keychain.anonymous())
            image = client.pull(site.name("a:1"))
            layer = image.layers[0]
            stream = layer.open()
            stream.read(100)
            things: list[Any] = [client, image, layer, stream, client.repository(site.name("b"))]
            del client, image, layer, stream
            for i in order:
                things[i] = None
        del things
        # The same with cycles, which only the collector ends.
        for _ in range(20):
            loop: list[Any] = [parbuckle.Client(keychain=parbuckle.Keychain.anonymous())]
            loop += [loop[0].pull(site.name("a:1")), loop]
            loop.append(loop[1].layers[0].open())
            del loop
        gc.collect()
    del site
    gc.collect()
    assert settles(threads, before[0]) is None
    assert settles(descriptors, before[1]) is None


def test_abandoned_writers_and_readers() -> None:
    gc.collect()
    with Site(idle=20) as site:
        site.client.push(site.name("a:1"), image_of(3_000_000))
        layer = site.client.pull(site.name("a:1")).layers[0]
        layer.open().read(1)
        gc.collect()
        before = threads(), descriptors()
        for _ in range(30):
            layer.open().read(1)
            writer = parbuckle.Layer.writer(sink=site.client.repository(site.name("b")))
            writer.write(bytes(2048))
            del writer
        assert settles(threads, before[0] + 4) is None
        assert settles(descriptors, before[1] + 8) is None  # idle connections of the pool


EXITS = """
import sys
import parbuckle
from support import image_of
server = parbuckle.Server()
client = parbuckle.Client()
image = image_of(3_000_000)
client.push(server.host + "/a:1", image)
stream = client.pull(server.host + "/a:1").layers[0].open()
stream.read(10)
{}
print("end")
"""


def test_exits() -> None:
    """A process that cleans up nothing ends, soon and quietly."""
    for rest in (
        "",
        "sys.exit(0) if print('end') is None else 0",
        "keep = [client]; keep.append(keep)",
        "import threading; threading.Thread(target=lambda: stream.read()).start()",
        "import threading; threading.Thread(target=lambda: [image_of() for _ in range(20)], daemon=True).start()",
        "import asyncio; asyncio.run(parbuckle.AsyncClient().pull(server.host + '/a:1'))",
        "sys.modules.clear()",
        "class A:\n    def __del__(self): client.stats\na = A(); a.a = a",
    ):
        done = run(EXITS.format(rest))
        assert done.returncode == 0 and done.stdout == "end\n", (rest, done.returncode, done.stderr)
        assert done.stderr == "" or "ImportError" in done.stderr, (rest, done.stderr)


def test_leftover_clients_are_closed_at_exit() -> None:
    code = """
    import atexit

    def last():
        try:
            client.pull(server.host + "/a:1")
        except parbuckle.InvalidStateError as e:
            print(e.message)

    atexit.register(last)  # the first to be registered is the last to run
    import parbuckle
    server, client = parbuckle.Server(), parbuckle.Client()
    """
    done = run(textwrap.dedent(code))
    assert done.stdout == "the client is closed\n", done.stderr


def run(code: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=60)
