#!/bin/bash
# Three registries for tests: Debian's docker-registry for everybody, with htpasswd, and with tokens.
#
#   eval "$(tests/registries.sh start DIR)"   starts them and sets PARB_TEST_ANON, _BASIC and _TOKEN
#   tests/registries.sh stop DIR              ends them
#
# Everything they write lies in DIR; their logs are DIR/*.log. What they do is told on standard error.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
registry=${DOCKER_REGISTRY:-docker-registry}

say() { echo "registries: $*" >&2; }

# What eval gets to see of a failure: a command that fails too.
die() { say "$@"; echo false; exit 1; }

usage() { die "usage: $0 start|stop DIR"; }

# launch NAME COMMAND...: runs it in the background and sets $address to where it says it listens. The kernel chooses
# the port, so nobody can take it in between.
launch() {
  local name=$1 log=$dir/$1.log i
  shift
  : >"$log"
  # Without our environment: REGISTRY_… would go before the configuration.
  env -i PATH="$PATH" HOME="$dir" setsid "$@" </dev/null >"$log" 2>&1 &
  echo $! >"$dir/$name.pid"
  for ((i = 0; i < 200; i++)); do
    address=$(sed -n 's/.*listening on \(127\.0\.0\.1:[0-9]*\).*/\1/p' "$log" | head -n 1)
    if [ -n "$address" ] && answers "$address"; then
      say "$name at $address"
      return
    fi
    kill -0 "$(cat "$dir/$name.pid")" 2>/dev/null || break
    sleep 0.05
  done
  say "$name does not come up:"
  tail -n 20 "$log" >&2
  return 1
}

# Whether HTTP is spoken there.
answers() {
  local status
  { exec 3<>"/dev/tcp/${1%:*}/${1##*:}"; } 2>/dev/null || return 1
  printf 'GET /v2/ HTTP/1.0\r\nHost: %s\r\n\r\n' "$1" >&3
  IFS= read -r -t 5 status <&3 || status=
  exec 3<&- 3>&-
  [[ $status == HTTP/* ]]
}

# config NAME: a configuration on standard output; what authenticates comes on standard input.
config() {
  cat <<END
version: 0.1
log:
  level: info
  accesslog:
    disabled: true
storage:
  filesystem:
    rootdirectory: $dir/$1
  delete:
    enabled: true
http:
  addr: 127.0.0.1:0
  secret: tests
END
  cat
}

start() {
  mkdir -p "$dir"
  dir=$(cd "$dir" && pwd)
  compgen -G "$dir/*.pid" >/dev/null && die "$dir is in use; stop it first"
  command -v "$registry" >/dev/null || die "$registry is not installed (Debian package docker-registry)"
  trap 'code=$?; [ $code = 0 ] || { stop; echo false; }' EXIT
  say "building the token service"
  (cd "$here/tokenservice" && go build -o "$dir/tokenservice" .) >&2

  launch token-service "$dir/tokenservice" -cert-out "$dir/token.pem"
  local realm=http://$address/token

  config anon </dev/null >"$dir/anon.yml"
  launch anon "$registry" serve "$dir/anon.yml"
  local anon=$address

  # htpasswd -Bbn test secret
  echo 'test:$2y$05$ud0d3IGa4rfWHu5Lgi39reH6GtFeYNcx7lUjz4mA2yH9jXOOL5S5W' >"$dir/htpasswd"
  config basic >"$dir/basic.yml" <<END
auth:
  htpasswd:
    realm: tests
    path: $dir/htpasswd
END
  launch basic "$registry" serve "$dir/basic.yml"
  local basic=$address

  config token >"$dir/token.yml" <<END
auth:
  token:
    realm: $realm
    service: registry
    issuer: parbuckle-tests
    rootcertbundle: $dir/token.pem
END
  launch token "$registry" serve "$dir/token.yml"

  echo "export PARB_TEST_ANON=$anon PARB_TEST_BASIC=$basic PARB_TEST_TOKEN=$address"
}

# Ends what start began. A pid that by now is somebody else's is left alone.
stop() {
  local file pid i
  for file in "$dir"/*.pid; do
    [ -e "$file" ] || continue
    pid=$(cat "$file")
    if ours "$pid"; then
      kill "$pid" 2>/dev/null || true
      for ((i = 0; i < 100; i++)); do
        ours "$pid" || break
        sleep 0.05
      done
      ! ours "$pid" || kill -9 "$pid" 2>/dev/null || true
    fi
    rm -f "$file"
  done
}

# Whether that process is there and was started with a file of ours.
ours() { [ -n "$1" ] && tr '\0' ' ' 2>/dev/null <"/proc/$1/cmdline" | grep -qF "$dir/"; }

[ $# = 2 ] && [ -n "$2" ] || usage
dir=$2
case $1 in
  start) start ;;
  stop)
    [ -d "$dir" ] || exit 0
    dir=$(cd "$dir" && pwd)
    stop
    ;;
  *) usage ;;
esac
