"""Nothing blocks without a way out: tokens, timeouts, Ctrl-C."""

from __future__ import annotations

import gc
import io
import os
import random
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Callable

import parbuckle
import pytest

from support import Site, descriptors, image_of, settles, tar_of, threads

#: Promised are 200 ms; on a busy machine threads wait for their turn.
PROMPT = 2.0


def test_cancel_at_random_moments() -> None:
    rng, image, tar = random.Random(5), image_of(2_000_000), tar_of(2_000_000, 2)
    gc.collect()
    before = threads(), descriptors()
    outcomes = {"done": 0, "cancelled": 0}
    with Site(idle=20) as site:

        def pull(cancel: parbuckle.CancelToken) -> None:
            back = site.client.pull(site.name("a:1"), cancel=cancel)
            back.config(cancel=cancel)
            with back.layers[0].open(cancel=cancel) as stream:
                stream.read()

        def push(cancel: parbuckle.CancelToken) -> None:
            site.client.push(site.name(f"b{rng.random()}:1"), image, cancel=cancel)

        def write(cancel: parbuckle.CancelToken) -> None:
            sink = site.client.repository(site.name(f"c{rng.random()}"))
            parbuckle.Layer.from_fileobj(io.BytesIO(tar), sink=sink, cancel=cancel)

        site.client.push(site.name("a:1"), image)
        for i in range(200):
            work = (pull, push, write)[i % 3]
            outcomes[cancelled_after(rng.random() * 0.03, work)] += 1
        site.client.pull(site.name("a:1")).validate()
    assert outcomes["cancelled"] > 20 and outcomes["done"] > 0, outcomes
    del site
    gc.collect()
    assert settles(threads, before[0]) is None
    assert settles(descriptors, before[1]) is None


def cancelled_after(seconds: float, work: Callable[[parbuckle.CancelToken], None]) -> str:
    cancel, at = parbuckle.CancelToken(), [float("inf")]

    def end() -> None:
        at[0] = time.monotonic()
        cancel.cancel()

    timer = threading.Timer(seconds, end)
    timer.start()
    try:
        work(cancel)
        return "done"
    except parbuckle.CancelledError:
        assert time.monotonic() - at[0] < PROMPT
        assert cancel.cancelled
        return "cancelled"
    finally:
        timer.cancel()
        timer.join()


def test_timeouts_at_random_moments() -> None:
    rng, image = random.Random(6), image_of(2_000_000)
    ends = {"late": 0, "done": 0}
    with Site(idle=20) as site:
        for i in range(60):
            limit = rng.random() * 0.012
            began = time.monotonic()
            try:
                site.client.push(site.name(f"a{i}:1"), image, timeout=limit)
                ends["done"] += 1
            except parbuckle.TimedOutError:
                ends["late"] += 1
            assert time.monotonic() - began < limit + PROMPT
    assert ends["late"] > 5, ends


def test_timeouts_of_calls_and_clients() -> None:
    with Site([("GET", "*", 0, "stall")], idle=20) as site:
        for limit in (0.0, 0.25):
            began = time.monotonic()
            with pytest.raises(TimeoutError):
                site.client.pull(site.name("a:1"), timeout=limit)
            assert limit <= time.monotonic() - began < limit + PROMPT
        site.client.timeout = 0.25
        with pytest.raises(parbuckle.TimedOutError):
            site.client.pull(site.name("a:1"))
        cancel = parbuckle.CancelToken()
        cancel.cancel()
        with pytest.raises(parbuckle.CancelledError):
            site.client.pull(site.name("a:1"), cancel=cancel)


def test_progress() -> None:
    main, told = threading.get_ident(), []

    def progress(done: int, total: int) -> None:
        assert threading.get_ident() == main
        told.append((done, total))

    with Site([("PUT", "/v2/a/blobs/*", 0, "delay=250")], idle=20) as site:
        image = image_of(3_000_000)
        site.client.push(site.name("a:1"), image, progress=progress)
        assert told == sorted(told) and told[-1][0] == told[-1][1] >= image.layers[0].size

        def refuse(done: int, total: int) -> None:
            raise LookupError("enough")

        began = time.monotonic()
        with pytest.raises(LookupError):
            site.client.push(site.name("a:2"), image_of(3_000_000, 2), progress=refuse)
        assert time.monotonic() - began < PROMPT


def test_calls_nest() -> None:
    """A progress callback may make calls, which wait on the same thread."""
    with Site([("PUT", "/v2/a/blobs/*", 0, "delay=150")], idle=20) as site:
        site.client.push(site.name("b:1"), image_of())
        inner = []

        def progress(done: int, total: int) -> None:
            inner.append(site.client.pull(site.name("b:1")).config().json)

        site.client.push(site.name("a:1"), image_of(1000), progress=progress)
        assert len(inner) > 0 and site.client.pull(site.name("a:1")).digest == image_of(1000).digest


INTERRUPTED = """
import io, signal, sys, threading, time
import parbuckle
from support import Site, image_of, tar_of

faults = {faults}
site = Site(faults, idle=60)
image = image_of(3_000_000)
if {pushed}:
    site.client.push(site.name("a:1"), image)
    back = site.client.pull(site.name("a:1"))
sink = site.client.repository(site.name("a"))

def interrupt():
    global at
    at = time.monotonic()
    signal.raise_signal(signal.SIGINT)

threading.Timer(0.4, interrupt).start()
try:
    {call}
    print("not interrupted")
except KeyboardInterrupt:
    print("interrupted", time.monotonic() - at)
    site.client.close()
    print("closed", time.monotonic() - at)
"""

STALLED_BLOB = '[("GET", "/v2/a/blobs/*", 0, "stall")]'
STALLED_UPLOAD = '[("*", "/v2/a/blobs/uploads/*", 0, "stall")]'


@pytest.mark.parametrize(
    ("faults", "pushed", "call"),
    [
        ('[("GET", "*", 0, "stall")]', False, 'site.client.pull(site.name("a:1"))'),
        (STALLED_BLOB, True, "back.layers[0].open().read()"),
        (STALLED_BLOB, True, "back.validate()"),
        (STALLED_UPLOAD, False, 'site.client.push(site.name("a:1"), image)'),
        (STALLED_UPLOAD, False, "parbuckle.Layer.from_bytes(tar_of(3_000_000), sink=sink)"),
        (
            '[("PATCH", "/v2/a/blobs/uploads/*", 0, "stall"), ("PUT", "/v2/a/blobs/uploads/*", 0, "stall")]',
            False,
            'parbuckle.Layer.from_fileobj(io.BytesIO(tar_of(90_000_000)), sink=sink, compression="none")',
        ),
    ],
)
def test_ctrl_c(faults: str, pushed: bool, call: str) -> None:
    code = INTERRUPTED.format(faults=faults, pushed=pushed, call=call)
    done = run(code)
    assert done.returncode == 0, done.stderr
    lines = dict(line.split(" ") for line in done.stdout.splitlines())
    assert float(lines["interrupted"]) < PROMPT, "and not after the minute that the client would wait"
    assert float(lines["closed"]) < 2 * PROMPT


def test_ctrl_c_while_a_server_stops() -> None:
    code = """
    import signal, threading, time, urllib.request
    import parbuckle

    server = parbuckle.Server(faults=[("POST", "*", 0, "stall")])
    post = urllib.request.Request(server.url + "/v2/a/blobs/uploads/", b"", method="POST")
    threading.Thread(target=urllib.request.urlopen, args=(post,), daemon=True).start()
    time.sleep(0.3)
    threading.Timer(0.3, signal.raise_signal, (signal.SIGINT,)).start()
    began = time.monotonic()
    try:
        server.stop(timeout=60)
    except KeyboardInterrupt:
        print(time.monotonic() - began)
    """
    done = run(textwrap.dedent(code))
    assert float(done.stdout) < PROMPT, done.stderr


def test_an_interrupted_read_goes_on() -> None:
    """An exception in the midst of a wait (here a signal's) loses no byte of the stream."""
    code = """
    import signal
    import parbuckle
    from support import Site, image_of

    class Now(Exception):
        pass

    def raise_now(*_):
        raise Now

    signal.signal(signal.SIGALRM, raise_now)
    with Site([("GET", "/v2/a/blobs/*", 1, "stall")], idle=1) as site:
        image = image_of(3_000_000)
        site.client.push(site.name("a:1"), image)
        stream, got, interrupted = site.client.pull(site.name("a:1")).layers[0].open(), [], 0
        signal.setitimer(signal.ITIMER_REAL, 0.4, 0.2)  # the stall lasts for a second
        while True:
            try:
                piece = stream.read(500_000)
            except Now:
                interrupted += 1
                if interrupted == 3:
                    signal.setitimer(signal.ITIMER_REAL, 0)
            else:
                got.append(piece)
                if not piece:
                    break
        assert b"".join(got) == image.layers[0].open().read()
        assert site.fired() == 1
        print(interrupted)
    """
    done = run(textwrap.dedent(code))
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == 3


def run(code: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=60)
