#!/bin/bash
# Two daemons for tests: Debian's dockerd and podman's service, without network, on sockets in a directory.
#
#   eval "$(tests/daemons.sh start DIR)"   starts them and sets PARB_TEST_DOCKERD and PARB_TEST_PODMAN
#   tests/daemons.sh stop DIR              ends them and removes what they wrote
#
# It installs nothing and needs root (in a container is fine); what is missing is said, and then it fails. Everything
# they write lies in DIR; their logs are DIR/*.log. What it does is told on standard error. DAEMONS="dockerd" (or
# "podman") starts only that one.
set -euo pipefail

say() { echo "daemons: $*" >&2; }

# What eval gets to see of a failure: a command that fails too.
die() { say "$@"; echo false; exit 1; }

usage() { die "usage: $0 start|stop DIR"; }

wanted() { [[ " ${DAEMONS:-dockerd podman} " == *" $1 "* ]]; }

# needs PROGRAM PACKAGE: says what is missing.
needs() {
  command -v "$1" >/dev/null && return
  say "$1 is not installed (Debian package $2)"
  missing=1
}

# launch NAME SOCKET COMMAND...: runs it in the background and waits until it answers on the socket.
launch() {
  local name=$1 socket=$2 log=$dir/$1.log i
  shift 2
  : >"$log"
  # Without our environment: DOCKER_…, CONTAINERS_… and XDG_… would lead it out of the directory.
  env -i PATH="$PATH" HOME="$dir/home" TMPDIR="$dir/tmp" setsid "$@" </dev/null >"$log" 2>&1 &
  echo $! >"$dir/$name.pid"
  for ((i = 0; i < 600; i++)); do
    if [ -S "$socket" ] && answers "$socket"; then
      say "$name at unix://$socket"
      return
    fi
    kill -0 "$(cat "$dir/$name.pid")" 2>/dev/null || break
    sleep 0.1
  done
  say "$name does not come up:"
  tail -n 20 "$log" >&2
  return 1
}

answers() {
  [ "$(curl -s -m 5 -o /dev/null -w '%{http_code}' --unix-socket "$1" http://daemon/_ping)" = 200 ]
}

start() {
  mkdir -p "$dir"
  dir=$(cd "$dir" && pwd -P)
  compgen -G "$dir/*.pid" >/dev/null && die "$dir is in use; stop it first"
  # A socket's path has room for 107 bytes, and dockerd's containerd has one of its own below DIR/x.
  [ ${#dir} -le 60 ] || die "the path $dir is too long for sockets in it"
  local missing=
  [ "$(id -u)" = 0 ] || { say "the daemons have to be started by root"; missing=1; }
  needs curl curl
  ! wanted dockerd || { needs dockerd docker.io; needs containerd containerd; needs runc runc; }
  ! wanted podman || { needs podman podman; needs conmon conmon; }
  [ -z "$missing" ] || die "not started"
  trap 'code=$?; [ $code = 0 ] || { stop; echo false; }' EXIT
  mkdir -p "$dir/home" "$dir/tmp" "$dir/d" "$dir/p"
  local exports=()
  if wanted dockerd; then
    echo '{}' >"$dir/home/daemon.json" # not the machine's
    launch dockerd "$dir/d.sock" dockerd --config-file "$dir/home/daemon.json" --iptables=false --ip6tables=false \
      --bridge=none --storage-driver=vfs --data-root "$dir/d" --exec-root "$dir/x" --pidfile "$dir/home/dockerd" \
      -H "unix://$dir/d.sock"
    exports+=("PARB_TEST_DOCKERD=unix://$dir/d.sock")
  fi
  if wanted podman; then
    launch podman "$dir/p.sock" podman --root "$dir/p/root" --runroot "$dir/p/run" --tmpdir "$dir/p/tmp" --network-config-dir "$dir/p/net" \
      --storage-driver vfs --cgroup-manager cgroupfs --events-backend file \
      system service --time=0 "unix://$dir/p.sock"
    exports+=("PARB_TEST_PODMAN=unix://$dir/p.sock")
  fi
  [ ${#exports[@]} -gt 0 ] || die "DAEMONS names neither dockerd nor podman"
  echo "export ${exports[*]}"
}

# Ends what start began. A pid that by now is somebody else's is left alone.
stop() {
  local file pid
  for file in "$dir"/*.pid; do
    [ -e "$file" ] || continue
    pid=$(cat "$file")
    end "$pid"
    rm -f "$file"
  done
  # containerd ends with dockerd, unless that was killed.
  for pid in $(leftover); do end "$pid"; done
  # What they mounted (namespaces, storage) would outlive them; the deepest first.
  awk -v dir="$dir/" 'index($5, dir) == 1 { print $5 }' /proc/self/mountinfo | sort -r | while IFS= read -r mount; do
    umount "$mount" 2>/dev/null || umount -l "$mount" || say "$mount stays mounted"
  done
  if awk -v dir="$dir/" 'index($5, dir) == 1 { exit 1 }' /proc/self/mountinfo; then
    rm -rf "$dir"/{d,x,p,home,tmp} "$dir"/*.sock "$dir"/*.sock.lock
  fi
}

end() {
  local i
  ours "$1" || return 0
  kill "$1" 2>/dev/null || true
  for ((i = 0; i < 200; i++)); do
    ours "$1" || return 0
    sleep 0.05
  done
  say "process $1 does not end by itself"
  kill -9 "$1" 2>/dev/null || true
}

# Whether that process is there and was started with a file of ours.
ours() { [ -n "$1" ] && tr '\0' ' ' 2>/dev/null <"/proc/$1/cmdline" | grep -qF "$dir/"; }

# Other processes that run on files of ours: containerd, conmon.
leftover() {
  local proc
  for proc in /proc/[0-9]*; do
    case $(tr '\0' ' ' 2>/dev/null <"$proc/cmdline") in
      containerd*"$dir/"* | */containerd*"$dir/"* | *conmon*"$dir/"*) echo "${proc#/proc/}" ;;
    esac
  done
}

[ $# = 2 ] && [ -n "$2" ] || usage
dir=$2
case $1 in
  start) start ;;
  stop)
    [ -d "$dir" ] || exit 0
    dir=$(cd "$dir" && pwd -P)
    stop
    ;;
  *) usage ;;
esac
