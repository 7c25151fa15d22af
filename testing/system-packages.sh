#!/usr/bin/env bash
# Installs what tests and benchmarks need beside Python: a browser. Does nothing where it is there already.
set -euo pipefail
for name in chromium chromium-browser google-chrome; do  # testing/browser.py looks for the same
  if command -v "$name" >/dev/null; then exit 0; fi
done
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "error: tests and benchmarks need chromium: install it with your system's package manager, then try again" >&2
  exit 1
fi
echo "installing chromium, once"
export DEBIAN_FRONTEND=noninteractive
apt-get update -q >/dev/null
apt-get install -y --no-install-recommends chromium >/dev/null
