#!/usr/bin/env bash
# Installs the engines that tests/end_to_end/runners/test_{prism,flink,spark}.py run conversions on: install.sh FOLDER PYTHON [ENGINE ...]
# An engine that is there in the wanted version is left alone. Needs go for prism, java 17 and mvn for the others.
set -euo pipefail

folder=$1
python=$2
shift 2
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)

fail() {
  echo "error: $*" >&2
  exit 1
}

need() {
  command -v "$1" >/dev/null || fail "$1 is needed for $2 ($3)"
}

jars() { # ENGINE: the jars of its pom.xml
  mvn --batch-mode --quiet --file "$here/$1/pom.xml" dependency:copy-dependencies \
    -DincludeScope=runtime -DoutputDirectory="$folder/$1.part/jars" >&2
}

install_prism() {
  need go prism https://go.dev
  GOBIN="$folder/prism.part" go install github.com/apache/beam/sdks/v2/go/cmd/prism@v2.77.0 >&2
}

install_flink() {
  need java flink https://adoptium.net
  need mvn flink https://maven.apache.org
  jars flink
  # Flink is that of the cluster, not that of Beam's dependencies.
  rm "$folder"/flink.part/jars/flink-*.jar "$folder"/flink.part/jars/slf4j-api-*.jar
  "$python" -m pip download --quiet --no-deps --no-binary :all: \
    --dest "$folder/flink.part" apache-flink-libraries==1.19.3 >&2
  tar xzf "$folder"/flink.part/apache-flink-libraries-*.tar.gz --directory="$folder/flink.part" \
    --strip-components=2 --wildcards '*/deps/lib/flink-dist-*' '*/deps/lib/log4j-*'
  rm "$folder"/flink.part/*.tar.gz
}

install_spark() {
  need java spark https://adoptium.net
  need mvn spark https://maven.apache.org
  jars spark
}

[ $# -gt 0 ] || set -- prism flink spark
for name in "$@"; do
  files=("$here/install.sh")
  if [ -e "$here/$name/pom.xml" ]; then files+=("$here/$name/pom.xml"); fi
  stamp=$(cat "${files[@]}" | sha256sum)
  [ "$(cat "$folder/$name/stamp" 2>/dev/null)" = "$stamp" ] && continue
  rm -rf "${folder:?}/$name" "$folder/$name.part"
  mkdir "$folder/$name.part"
  "install_$name"
  echo "$stamp" >"$folder/$name.part/stamp"
  mv "$folder/$name.part" "$folder/$name"
done
