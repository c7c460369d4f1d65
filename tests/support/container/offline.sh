#!/usr/bin/env bash
# Runs a command with a network of its own that has nothing but localhost: offline.sh COMMAND [ARGUMENT ...]
# Nothing else can have the port of Beam's worker pool there, which is fixed and in the range that programs are given.
set -euo pipefail
exec unshare --net bash -c '
  ip link set lo up
  echo 50000 >/proc/sys/net/ipv4/ip_local_reserved_ports
  exec "$@"' bash "$@"
