"""Pulls and pushes a layer of 1 GiB from and to file objects, the registry in another process, and tells the memory.

    OUT=target/release python stream_rss.py [SIZE_MIB [MOST_GROWTH_MIB]]

Prints the peak of the resident set and its growth over what the process needed before; fails past MOST_GROWTH_MIB.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import parbuckle

from support import Sum, Tar, image_of

MIB = 1 << 20


def peak_kib() -> int:
    """The process's peak so far."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


def serve(directory: str) -> tuple[subprocess.Popen[bytes], str]:
    """A registry in another process, and where it is."""
    parb, url = os.path.join(os.environ["OUT"], "parb"), Path(directory, "url")
    command = [parb, "registry", "serve", "--disk", directory + "/data", "--url-file", str(url)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    for _ in range(500):
        if url.is_file() and process.poll() is None:
            return process, url.read_text().strip().partition("://")[2]
        time.sleep(0.02)
    process.kill()
    raise RuntimeError("the registry did not start")


def measured(what: str, baseline: int, most: int, began: float) -> bool:
    peak = peak_kib()
    growth = (peak - baseline) / 1024
    print(f"{what}: {time.monotonic() - began:.1f} s, peak RSS {peak / 1024:.1f} MiB, growth {growth:.1f} MiB")
    return growth <= most


def main() -> int:
    size = (int(sys.argv[1]) if len(sys.argv) > 1 else 1024) * MIB
    most = int(sys.argv[2]) if len(sys.argv) > 2 else 64
    with tempfile.TemporaryDirectory() as directory:
        process, host = serve(directory)
        try:
            with parbuckle.Client(keychain=parbuckle.Keychain.anonymous(), user_agent="stream-rss") as client:
                return measure(client, host, size, most)
        finally:
            process.terminate()
            process.wait()


def measure(client: parbuckle.Client, host: str, size: int, most: int) -> int:
    client.push(f"{host}/warm:1", image_of(1000))  # what a client needs at all
    client.pull(f"{host}/warm:1").validate()
    baseline, good = peak_kib(), True
    print(f"baseline: peak RSS {baseline / 1024:.1f} MiB")
    for compression in ("none", "gzip"):
        began, source, into = time.monotonic(), Tar(size), Sum()
        sink = client.repository(f"{host}/{compression}")
        layer = parbuckle.Layer.from_fileobj(source, sink=sink, compression=compression)
        client.push(f"{host}/{compression}:1", parbuckle.ImageBuilder().add_layer(layer).build())
        good &= measured(f"push {size // MIB} MiB as {compression}", baseline, most, began)

        began = time.monotonic()
        with client.pull(f"{host}/{compression}:1").layers[0].open_uncompressed() as stream:
            shutil.copyfileobj(stream, into, MIB)
        good &= measured(f"pull {size // MIB} MiB as {compression}", baseline, most, began)
        if into.digest() != source.digest():
            print("other bytes came back")
            return 1
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
