#!/usr/bin/env bash
# make image: builds the image and tries it out. With Docker's engine (or podman) on the official base; where there is
# neither registry nor engine, with ../shared/tools/build_image.sh on a stand-in for the base, which is said out loud.
#   IMAGE=name:tag   TORCH_INDEX=address   TORCH_BUILD=cpu|any      (the last two: see Dockerfile)
set -euo pipefail
cd "$(dirname "$0")/../.."
image=${IMAGE:-diagnosis-tool:latest}
stand_in=../shared/tools/build_image.sh
arguments=(--build-arg "TORCH_INDEX=${TORCH_INDEX:-}" --build-arg "TORCH_BUILD=${TORCH_BUILD:-cpu}")
note=""

if docker info >/dev/null 2>&1; then
  docker build "${arguments[@]}" --tag "$image" .
  engine=(docker run)
elif [ -f "$stand_in" ]; then
  note="NOT the official base image: no Docker engine here, so python:3.11-slim-bookworm was stood in for by Debian's packages"
  echo "image: $note" >&2
  image=localhost/${image#localhost/}
  log=$(mktemp)
  trap 'rm -f "$log"' EXIT
  bash "$stand_in" . "$image" 2>&1 | tee "$log"
  # its last line is how to run what was built; without the image's name that is the engine
  read -r -a engine <<<"$(tail -n 1 "$log")"
  unset 'engine[-1]'
else
  echo "image: NOT BUILT AND NOT TESTED: there is no Docker engine here ('docker info' fails). Start one, then: make image" >&2
  exit 1
fi

tool=()
for word in "${engine[@]}"; do [ "$word" = run ] && break; tool+=("$word"); done
"${tool[@]}" image inspect --format 'image: {{.Size}} bytes' "$image"
"${PYTHON:-python3}" deploy/image/smoke.py "$image" "${engine[@]}"
[ -z "$note" ] || echo "image: $note" >&2
