#!/usr/bin/env bash
# The README's examples, taken out of it, put into a frame where they need one, and run against `parb registry serve`:
# all of them push the same digest. The Rust one is the doc test of src/lib.rs, and has to be the same text.
# Needs OUT, LD_LIBRARY_PATH, PKG_CONFIG_PATH (set by tests/run.sh). LANGUAGES="c go" runs only those.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
OUT=$(realpath "${OUT:-$root/target/release}")
export PARB_LIBRARY=${PARB_LIBRARY:-$OUT/libparbuckle.so} PYTHONDONTWRITEBYTECODE=1
work=$(mktemp -d)
server=
finish() {
    [ -z "$server" ] || { kill "$server" 2>/dev/null && wait "$server" 2>/dev/null; } || true
    rm -rf "$work"
}
trap finish EXIT

"$OUT/parb" registry serve --address 127.0.0.1:0 --url-file "$work/url" 2>"$work/serve" &
server=$!
for _ in $(seq 100); do [ -s "$work/url" ] && break; sleep 0.05; done
url=$(cat "$work/url")
address=${url#http://}

mkdir -p "$work/tree/app" "$work/base/etc"
echo hello > "$work/tree/app/hello"
echo base > "$work/base/etc/base"
tar -C "$work/tree" --sort=name --owner=0 --group=0 --mtime=@0 -cf "$work/app.tar" app
"$OUT/parb" append --oci-empty-base -f "$work/base" -t "$address/base:1" >/dev/null 2>"$work/append"
"$OUT/parb" mutate --set-platform linux/amd64 "$address/base:1" >/dev/null

snippet() { # LANGUAGE: the README's one block of it
    awk -v fence="\`\`\`$1" '$0 == fence { n++; on = 1; next } /^```$/ { on = 0 } on { print } END { exit n != 1 }' \
        "$root/README.md" || { echo "the README has not exactly one block of $1" >&2; return 1; }
}
ours() { # LANGUAGE: the same, with our registry in place of the example's, and a target of its own
    snippet "$1" | sed "s,registry\.example/app,$address/$1,g; s,registry\.example,$address,g"
}
read -ra pkg <<<"$(pkg-config --cflags --libs parbuckle)"

run_c() {
    cat > "$work/main.c" <<END
#include <parbuckle.h>
#include <stdio.h>
int main(void) {
  parb_error *err = NULL;
  parb_client *client = NULL;
  parb_ref *from = NULL, *to = NULL;
  parb_image *base = NULL, *made = NULL;
  parb_layer *layer = NULL;
  parb_image_builder *change = NULL;
  if ((err = parb_client_new(NULL, &client)) || (err = parb_ref_parse("$address/base:1", NULL, &from)) ||
      (err = parb_ref_parse("$address/c:1", NULL, &to))) goto done;
$(ours c)
done:
  if (err) fprintf(stderr, "%s\n", parb_error_message(err));
  parb_image_builder_free(change), parb_layer_free(layer), parb_image_free(made), parb_image_free(base);
  parb_ref_free(to), parb_ref_free(from), parb_client_free(client);
  return err ? (parb_error_free(err), 1) : 0;
}
END
    cc -std=c99 -Wall -Wextra -Werror -o main-c main.c "${pkg[@]}"
    ./main-c
}

run_cpp() {
    printf '#include <parbuckle.hpp>\nint main() {\n%s\n}\n' "$(ours cpp)" > main.cpp
    c++ -std=c++17 -Wall -Wextra -Werror -o main-cpp main.cpp "${pkg[@]}" -pthread
    ./main-cpp
}

run_go() {
    mkdir -p go
    printf 'module readme\n\ngo 1.24\n\nrequire parbuckle.example/go v0.0.0\n\nreplace parbuckle.example/go => %s\n' \
        "$root/bindings/go" > go/go.mod
    {
        printf 'package main\n\nimport (\n"context"\n"log"\n\nparbuckle "parbuckle.example/go"\n)\n'
        printf 'func run(ctx context.Context, client *parbuckle.Client) error {\n'
        ours go | sed 's/$/\nif err != nil {\nreturn err\n}/'
        printf 'return nil\n}\nfunc main() {\nclient, err := parbuckle.NewClient()\nif err != nil {\nlog.Fatal(err)\n}\n'
        printf 'if err := run(context.Background(), client); err != nil {\nlog.Fatal(err)\n}\n}\n'
    } > go/main.go
    (cd go && go build -o ../main-go .)
    ./main-go
}

run_python() {
    { echo "import parbuckle"; ours python; } > main.py
    PYTHONPATH=$root/bindings/python/src python3 main.py
}

run_rust() { # the visible lines of the doc test, which cargo test compiles
    sed -n '/^\/\/! ```no_run$/,/^\/\/! ```$/p' "$root/src/lib.rs" | sed '1d; $d; s,^//! \{0\,1\},,; /^#/d' > doc
    snippet rust | diff - doc || { echo "the README's example is not the one of src/lib.rs"; return 1; }
}

run_sh() {
    PATH=$OUT:$PATH bash -euo pipefail -c "$(ours sh)"
}

cd "$work"
first=
for language in ${LANGUAGES:-c cpp go python rust sh}; do
    # In a subshell of its own: within a condition, set -e would be off.
    set +e
    (set -e; "run_$language") > output 2>&1
    status=$?
    set -e
    [ "$status" = 0 ] || { echo "README, $language: failed"; cat output; exit 1; }
    [ "$language" != rust ] || { echo "README, rust: the doc test's text"; continue; }
    digest=$("$OUT/parb" digest "$address/$language:1")
    first=${first:-$digest}
    [ "$digest" = "$first" ] || { echo "README, $language: pushed $digest, and the first one $first"; exit 1; }
    echo "README, $language: $digest"
done
