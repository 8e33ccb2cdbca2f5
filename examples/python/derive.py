"""derive.py BASE TARGET LAYER.tar: pulls an image, puts a layer on it, changes its config, pushes it."""

from __future__ import annotations

import sys

import parbuckle


def derive(base_name: str, target: str, tar: str) -> str:
    with parbuckle.Client(user_agent="example-python", timeout=120) as client:
        source = parbuckle.Reference(base_name)
        base = client.pull(source)
        print(f"pulled {source}: {base.config().platform or ''}")
        for layer in base.layers:
            print(f"  layer {layer.digest} {layer.size:>11} bytes")

        # The layer goes straight to the target, compressed on the way; build and push find it there.
        added = parbuckle.Layer.from_file(tar, sink=client.repository(target))
        made = (
            base.edit()
            .add_layer(added)
            .env(APP_MODE="production")
            .label("org.example.derived", "yes")
            .workdir("/app")
            .build()
        )
        client.push(target, made)
        return made.digest


def main() -> int:
    if len(sys.argv) != 4:
        print("usage: derive.py BASE TARGET LAYER.tar", file=sys.stderr)
        return 2
    try:
        print(f"python {derive(*sys.argv[1:])}")
    except parbuckle.Error as e:
        print(f"{e.code}: {e}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
