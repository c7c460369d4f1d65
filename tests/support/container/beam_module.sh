#!/usr/bin/env bash
# Prints the folder of Beam's sources for containers, of the version in requirements.txt, from Go's module proxy.
set -euo pipefail
root=$(cd "$(dirname "$0")/../../.." && pwd)
version=$(sed -n 's/^apache-beam==\([^ ]*\).*/\1/p' "$root/templates/dataflow/requirements.txt")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
go mod init module >/dev/null 2>&1
go mod download "github.com/apache/beam/sdks/v2@v$version" >&2
echo "$(go list -m -f '{{.Dir}}' "github.com/apache/beam/sdks/v2@v$version")/python/container"
