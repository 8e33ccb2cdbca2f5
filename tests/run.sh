#!/usr/bin/env bash
# Every test there is, stage by stage, with the time each took. Run by `make test`, which has built the release library.
# Installs what is missing (Debian packages, crane, regctl, a Python venv) where it may.
# STAGES="rust c" runs only those.
set -euo pipefail
cd "$(dirname "$0")/.."
export OUT=${OUT:-$PWD/target/release}
export LD_LIBRARY_PATH=$OUT${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} PKG_CONFIG_PATH=$OUT/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}
export PARB_LIBRARY=$OUT/libparbuckle.so PYTHONDONTWRITEBYTECODE=1
unset DOCKER_CONFIG REGISTRY_AUTH_FILE SOURCE_DATE_EPOCH
work=$(mktemp -d)
export HOME_BEFORE=$HOME
finish() {
    status=$?
    tests/registries.sh stop "$work/registries" || true
    [ ! -d "$work/daemons" ] || tests/daemons.sh stop "$work/daemons" || true
    rm -rf "$work"
    printf '\n-- seconds by stage --\n'; printf '%s\n' "${times[@]}"
    [ "$status" = 0 ] && echo "all stages passed" || echo "FAILED in stage: ${current:-}"
}
trap finish EXIT
times=()

stage() { # NAME COMMAND…: runs it, unless STAGES leaves it out
    current=$1
    shift
    case " ${STAGES:-$current} " in *" $current "*) ;; *) return 0 ;; esac
    printf '\n==== %s\n' "$current"
    local began=$SECONDS
    "$@"
    times+=("$(printf '%5d  %s' $((SECONDS - began)) "$current")")
}

install_tools() {
    local wanted=() package
    for package in docker-registry docker.io podman skopeo umoci valgrind apache2-utils cmake curl pkg-config clang doxygen zstd; do
        dpkg -s "$package" >/dev/null 2>&1 || wanted+=("$package")
    done
    if [ ${#wanted[@]} -gt 0 ]; then
        echo "installing: ${wanted[*]}"
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${wanted[@]}" >/dev/null
    fi
    export PATH=$PATH:$(go env GOPATH)/bin
    command -v crane >/dev/null || go install github.com/google/go-containerregistry/cmd/crane@v0.22.1
    echo "crane $(crane version), $(skopeo --version), $(docker-registry --version)"
}

lint() {
    cargo fmt -- --check
    cargo clippy -q --features cli --all-targets -- -D warnings
}

rust() {
    cargo test -q --features cli
}

registries() {
    mkdir -p "$work/registries"
    local exports
    exports=$(tests/registries.sh start "$work/registries")
    eval "$exports"
    echo "anonymous $PARB_TEST_ANON, basic $PARB_TEST_BASIC, token $PARB_TEST_TOKEN"
}

c() {
    tests/c/run.sh plain
    tests/cpp/run.sh plain
}

c_asan() {
    tests/c/run.sh asan
    tests/cpp/run.sh asan
}

c_valgrind() {
    tests/c/run.sh valgrind
    tests/cpp/run.sh valgrind
}

# Where the machine lets them run: dockerd and podman need to be root, and to mount.
daemons() {
    mkdir -p "$work/daemons"
    local exports
    exports=$(tests/daemons.sh start "$work/daemons")
    eval "$exports"
    echo "dockerd $PARB_TEST_DOCKERD, podman $PARB_TEST_PODMAN"
}

demo() {
    examples/demo.sh | tee "$work/demo1"
    examples/demo.sh > "$work/demo2"
    diff <(grep -oE '^(c|c\+\+|go|python|rust) sha256:.*' "$work/demo1") <(grep -oE '^(c|c\+\+|go|python|rust) sha256:.*' "$work/demo2")
    echo "a second demo gives the same digests"
}

stage tools install_tools
stage lint lint
stage rust rust
stage registries registries
stage daemons daemons
stage c c
stage asan c_asan
stage valgrind c_valgrind
stage go bindings/go/test.sh
stage python bindings/python/test.sh
stage readme tests/readme.sh
stage install tests/install.sh
stage demo demo
stage peers tests/peers.sh
stage mutations tests/mutations.sh
stage commands tests/commands.sh
stage archives tests/archives.sh
stage estargz tests/estargz.sh
stage layouts tests/layouts.sh
stage extract tests/extract.sh
stage matrix tests/matrix.sh
stage daemon tests/daemons_test.sh plain
