#!/usr/bin/env bash
# Builds the wheel, installs it where nothing else is, checks the types, runs the tests (arguments go to pytest).
# OUT: where libparbuckle.so and parb are. PARB_TEST_ANON, _BASIC, _TOKEN: registries for the error scenarios.
set -euo pipefail
cd "$(dirname "$0")"
OUT=$(realpath "${OUT:-../../target/release}")
venv=${PARB_TEST_VENV:-$OUT/../venv-python}
export OUT PYTHONDONTWRITEBYTECODE=1

[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
"$venv/bin/python" -m pip install -q --disable-pip-version-check hatchling mypy pytest

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
PARB_LIBRARY=$OUT/libparbuckle.so "$venv/bin/python" -m pip wheel -q --disable-pip-version-check \
    --no-deps --no-build-isolation --wheel-dir "$work" .
ls "$work"

# The wheel alone, in an environment that has nothing else: it must find its own library.
python3 -m venv "$work/clean"
"$work/clean/bin/python" -m pip install -q --disable-pip-version-check --no-index "$work"/*.whl
(cd "$work" && env -u PARB_LIBRARY -u LD_LIBRARY_PATH clean/bin/python -c '
import parbuckle
with parbuckle.Server() as server:
    print("wheel works:", parbuckle.__version__, server.url)')

"$venv/bin/python" -m pip install -q --disable-pip-version-check --no-index --no-deps --force-reinstall "$work"/*.whl
export PARB_LIBRARY=$OUT/libparbuckle.so
"$venv/bin/mypy" --strict --cache-dir "$work/mypy" src/parbuckle tests ../../examples/python/*.py
"$venv/bin/python" -m pytest -q -p no:cacheprovider "$@"
