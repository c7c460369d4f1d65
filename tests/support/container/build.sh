#!/usr/bin/env bash
# Builds templates/dataflow/Dockerfile on bases that stand in for Beam's and Google's: build.sh FOLDER
# Needs Linux, root, go and a Debian or Ubuntu, on which it installs buildah, debootstrap and ip where they are missing.
# A base that is there, made of the same files, is left alone; the image is built again.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
mkdir -p "$1"
folder=$(cd "$1" && pwd)

fail() {
  echo "error: $*" >&2
  exit 1
}

[ "$(id -u)" = 0 ] || fail "root is needed to make base images (debootstrap) and to run a container"
command -v go >/dev/null || fail "go is needed for Beam's boot program (https://go.dev)"
if ! type buildah debootstrap ip >/dev/null 2>&1; then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends buildah debootstrap iproute2 >/dev/null
fi
# shellcheck source=tests/support/container/environment.sh
. "$here/environment.sh" "$folder"

beam=$("$here/beam_module.sh")
version=$(sed -n 's/^apache-beam==\([^ ]*\).*/\1/p' "$root/templates/dataflow/requirements.txt")
# pip asks the network as it does on this machine.
network=(--network host)
for path in /etc/ssl/certs /etc/pip.conf; do
  if [ -e "$path" ]; then network+=(--volume "$path:$path:ro"); fi
done

make_debian() {
  packages=ca-certificates,g++,libc6-dev,make,python3,python3-dev,python3-pip,python3-venv
  rm -rf "$folder/debian"
  debootstrap --variant=minbase --include="$packages" bookworm "$folder/debian" >"$folder/debootstrap.log" ||
    fail "debootstrap failed, see $folder/debootstrap.log"
  rm -rf "$folder"/debian/var/cache/apt/archives/*.deb "$folder"/debian/var/lib/apt/lists/*
  container=$(buildah from scratch)
  buildah add --quiet "$container" "$folder/debian" / >/dev/null
  buildah commit --quiet --rm "$container" localhost/debian-python >/dev/null
  rm -rf "$folder/debian"
}

make_beam() {
  rm -rf "$folder/beam"
  mkdir "$folder/beam"
  CGO_ENABLED=0 GOBIN="$folder/beam" go install "github.com/apache/beam/sdks/v2/python/container@v$version" >&2
  mv "$folder/beam/container" "$folder/beam/boot"
  cp "$beam/py311/base_image_requirements.txt" "$folder/beam/"
  buildah build "${network[@]}" --build-arg DEBIAN=localhost/debian-python --build-arg BEAM_VERSION="$version" \
    --file "$here/beam.Dockerfile" --tag localhost/beam "$folder/beam" >"$folder/beam.log" 2>&1 ||
    fail "the stand-in of Beam's image was not built, see $folder/beam.log"
}

stamp=$(cat "$here/build.sh" "$here/beam.Dockerfile" "$beam/py311/base_image_requirements.txt" | sha256sum)
if [ "$(cat "$folder/stamp" 2>/dev/null)" != "$stamp" ] || ! buildah inspect localhost/beam >/dev/null 2>&1; then
  buildah inspect localhost/debian-python >/dev/null 2>&1 || make_debian
  make_beam
  echo "$stamp" >"$folder/stamp"
fi
buildah build --quiet --file "$here/launcher.Dockerfile" --tag localhost/launcher "$here" >/dev/null

buildah build "${network[@]}" --build-arg LAUNCHER_IMAGE=localhost/launcher --build-arg BEAM_IMAGE=localhost/beam \
  --file "$root/templates/dataflow/Dockerfile" --tag localhost/oi-tfrecord "$root" >"$folder/image.log" 2>&1 ||
  fail "the image was not built, see $folder/image.log"
# What builds, tests that were interrupted and older images leave behind.
buildah rm --all >/dev/null
buildah rmi --prune >/dev/null
buildah images
