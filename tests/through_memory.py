#!/usr/bin/env python3
"""Copies an image or, with --index, an index from one place through memory to another.

    through_memory.py [--index] FROM TO

Places are written as for `parb copy`. The image goes into a store, from there into a second one, and out of that: so
memory is read by every medium, by itself too, and reads every one. It prints the digest that the stores know.
Needs PARB_LIBRARY, and bindings/python/src in PYTHONPATH.
"""

from __future__ import annotations

import sys
from typing import Any

from parbuckle import Archive, Client, Daemon, Layout, MemoryStore

FORMATS = {"docker-archive": "docker", "legacy-archive": "legacy", "oci-archive": "oci"}


def split(place: str) -> tuple[str, str, str]:
    """The medium, where it is, and the name in it."""
    medium, _, rest = place.partition(":")
    if medium == "docker-daemon":
        return medium, *rest.split(",", 1)  # type: ignore[return-value]
    if medium == "oci" or medium in FORMATS:
        return medium, *rest.split(":", 1)  # type: ignore[return-value]
    return "registry", place, place


def read(place: str, index: bool) -> Any:
    medium, at, name = split(place)
    if medium == "registry":
        return Client().pull_index(name) if index else Client().pull(name)
    if medium == "docker-daemon":
        return Daemon(at).image(name)
    if medium == "oci":
        layout = Layout.open(at)
        return layout.child(name) if index else layout.image(name)
    archive = Archive.open(at)
    return archive.index(name) if index else archive.image(name)


def write(what: Any, place: str, index: bool) -> None:
    medium, at, name = split(place)
    if medium == "registry":
        Client().push_index(name, what) if index else Client().push(name, what)
    elif medium == "docker-daemon":
        Daemon(at).load(what, name)
    elif medium == "oci":
        Layout.create(at).replace(what, name)
    else:
        Archive.write(at, {name: what}, format=FORMATS[medium])


def main() -> None:
    index = "--index" in sys.argv
    source, target = (a for a in sys.argv[1:] if a != "--index")
    held = read(source, index)
    for _ in range(2):
        store = MemoryStore()
        store.put(held, "held")
        before = held.digest
        held = store.index("held") if index else store.image("held")
        if held.digest != before:
            sys.exit(f"memory made {held.digest} of {before}")
    write(held, target, index)
    print(held.digest)


if __name__ == "__main__":
    main()
