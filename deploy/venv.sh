#!/usr/bin/env bash
# venv.sh FOLDER WHAT: installs WHAT ('.', or with extras '.[training,dev]') into the virtual environment FOLDER, which
# is made unless it is there; a line a step. For the Makefile.
#   PYTHON        the interpreter; else the first that fits of those on PATH
#   TORCH_INDEX   where torch and torchvision are fetched from, as for the image (see Dockerfile); else as everything
set -euo pipefail
folder=$1 what=$2 own=$1/bin/python
tried="3.11"          # what our tests run on
others="3.12 3.13"    # every pinned package has its wheels for these, too; keep in step with requires-python

version_of() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null; }
fits() { case " $tried $others " in *" $(version_of "$1") "*) ;; *) return 1 ;; esac; }
# an environment without pip is what is left where making it broke off, as without Debian's python3-venv
is_whole() { [ -x "$own" ] && "$own" -c 'import pip' >/dev/null 2>&1; }

python=${PYTHON:-}
if [ -z "$python" ] && is_whole && fits "$own"; then python=$own; fi
if [ -z "$python" ]; then
  for name in python3.11 python3.12 python3.13 python3 python; do
    if command -v "$name" >/dev/null && fits "$name"; then python=$name; break; fi
  done
fi
if [ -z "$python" ]; then
  echo "error: no Python 3.11, 3.12 or 3.13 was found: install one, or say PYTHON=/path/to/python3.11" >&2
  exit 1
fi
if ! command -v "$python" >/dev/null; then
  echo "error: $python was not found: say PYTHON=/path/to/python3.11, or leave it away" >&2
  exit 1
fi
version=$(version_of "$python") || { echo "error: $python does not run" >&2; exit 1; }
if ! fits "$python"; then
  echo "error: $python is Python $version, and diagnosis-tool needs 3.11, 3.12 or 3.13: say PYTHON=" >&2
  exit 1
fi

pip() {  # of the much that pip says, what takes long: each fetched file of a megabyte or more, and unpacking
  "$own" -m pip install --disable-pip-version-check --progress-bar off -c constraints.txt "$@" | while IFS= read -r line; do
    case $line in
      *Downloading*" MB)" | *Downloading*" GB)") echo "      ${line#*Downloading }" ;;
      "Installing collected packages: "*) commas=${line//[^,]/}; echo "      unpacking $((${#commas} + 1)) packages" ;;
    esac
  done
}

if [ "$version" != "$tried" ]; then
  echo "note: Python $version is untried: there are wheels of all packages for it, but the tests are run with $tried"
fi
if is_whole && [ "$(version_of "$own")" = "$version" ]; then
  echo "1/3  virtual environment $folder is there, Python $version"
else
  echo "1/3  virtual environment $folder, Python $version ($(command -v "$python"))"
  if [ -e "$folder/pyvenv.cfg" ]; then clear=--clear; else clear=; fi  # what is no environment is nothing of ours
  "$python" -m venv $clear "$folder"
fi
# torch is pinned exactly: a range would pull several GB of CUDA's packages (docs/dependencies.md)
if [ -n "${TORCH_INDEX:-}" ]; then
  echo "2/3  torch and torchvision from TORCH_INDEX"
  pip --index-url "$TORCH_INDEX" --no-deps torch torchvision
else
  echo "2/3  torch comes with the others: no TORCH_INDEX is set (README.md)"
fi
echo "3/3  packages: the large ones are named; a few minutes on a slow line"
pip -e "$what"
echo "     installed"
