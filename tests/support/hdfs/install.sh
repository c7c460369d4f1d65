#!/usr/bin/env bash
# Fetches the HDFS of the tests (100 MB): install.sh FOLDER
# Without Java 17 and Maven there is none, and the tests that need it are skipped.
set -euo pipefail
folder=$1
mkdir -p "$folder"
if [ -e "$folder/complete" ]; then
  exit 0
fi
if ! command -v mvn >/dev/null || ! command -v javac >/dev/null; then
  echo "no Java or no Maven: the tests on HDFS will be skipped" >&2
  exit 0
fi
mvn --quiet --batch-mode --file "$(dirname "$0")/pom.xml" dependency:copy-dependencies \
  -DoutputDirectory="$(cd "$folder" && pwd)/jars"
touch "$folder/complete"
