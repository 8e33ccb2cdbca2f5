"""shelf.py DIRECTORY REFERENCE...: keeps images in a directory, as a layout and as an archive for docker load.

Says of each what changed since it was there last, file by file, and checks what it has got.
"""

from __future__ import annotations

import sys
from pathlib import Path

import parbuckle


def shelve(directory: Path, names: list[str]) -> None:
    directory.mkdir(exist_ok=True)
    layout = parbuckle.Layout.create(directory / "layout")
    with parbuckle.Client(user_agent="example-python") as client, parbuckle.Cache(
        directory / "cache", 10 << 30
    ) as cache:
        for name in names:
            image = client.pull(name).cached(cache)
            if layout.index().find(parbuckle.Matcher(name=name)):
                for finding in layout.image(name).compare(image, files=True):
                    print(f"{name}: {finding}")
            layout.replace(image, name)
            print(f"{name}: {len(layout.image(name).files())} files")

        for finding in layout.fsck():
            print(f"{finding.code}: {finding}")
        for gone in layout.gc():
            print(f"removed {gone}")
        parbuckle.Archive.write(directory / "images.tar", {name: layout.image(name) for name in names})


def main() -> int:
    if len(sys.argv) < 3:
        print("usage: shelf.py DIRECTORY REFERENCE...", file=sys.stderr)
        return 2
    try:
        shelve(Path(sys.argv[1]), sys.argv[2:])
    except parbuckle.Error as e:
        print(f"{e.code}: {e}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
