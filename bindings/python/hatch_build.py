"""Puts the shared library into the wheel, and says in its name where it runs."""

from __future__ import annotations

import os
import platform
import re
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NAME = "libparbuckle.dylib" if sys.platform == "darwin" else "libparbuckle.so"


class LibraryHook(BuildHookInterface):  # type: ignore[type-arg]
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return  # runs with PARB_LIBRARY
        built = Path(self.root, "../../target/release", NAME)
        library = Path(os.environ.get("PARB_LIBRARY") or built)
        if not library.is_file():
            raise FileNotFoundError(f"{library}: build it, or set PARB_LIBRARY to its path")
        build_data["force_include"][str(library.resolve())] = f"parbuckle/_lib/{NAME}"
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform_of(library)}"


def platform_of(library: Path) -> str:
    """The platform tag: on Linux, manylinux for the newest symbol of glibc that the library wants (PEP 600)."""
    if not sys.platform.startswith("linux"):
        return re.sub(r"[-.]", "_", sysconfig.get_platform())
    wanted = [int(minor) for minor in re.findall(rb"GLIBC_2\.(\d+)\b", library.read_bytes())]
    return f"manylinux_2_{max(wanted)}_{platform.machine()}"
