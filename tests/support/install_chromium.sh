#!/usr/bin/env bash
# Installs Chromium and its driver from Debian's packages where they are missing: the tests of the pages run in it.
set -euo pipefail
if ! { command -v chromium && command -v chromedriver; } > /dev/null; then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium chromium-driver
fi
