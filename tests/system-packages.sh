#!/usr/bin/env bash
# Installs what the tests need beside Python: a browser. Does nothing where it is there already.
set -euo pipefail
need=()
command -v chromium >/dev/null || need+=(chromium)
if [ ${#need[@]} -gt 0 ]; then
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "error: the tests need ${need[*]}: install it with your system's package manager, then run make test again" >&2
    exit 1
  fi
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -q >/dev/null
  apt-get install -y --no-install-recommends "${need[@]}" >/dev/null
fi
