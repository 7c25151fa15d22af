#!/usr/bin/env bash
# The runs whose figures stand beside this file: the starred recipes on the data subset, in sizes that two CPU cores
# manage in an hour. From the repository's root, after the start weights were unpacked (docs/training.md) and
# build/rsna made: docs/results/starred.sh OUT_DIR
# Each run is resumed where it was stopped; a finished one is skipped.
set -euo pipefail
out=$1
export MALLOC_MMAP_THRESHOLD_=8589934592 MALLOC_TRIM_THRESHOLD_=17179869184
python=${PYTHON:-.venv/bin/python}

one() { # name, recipe, data set, data folder, then --set options
  local name=$1 recipe=$2 dataset=$3 data=$4 run=$out/runs/$1
  shift 4
  [ -f "$out/evaluations/$name.json" ] && return
  mkdir -p "$out/evaluations"
  local set=()
  for pair in "release.name=$name" "$@"; do set+=(--set "$pair"); done
  $python -m training train "training/recipes/$recipe.toml" --data "$data" --out "$run" --cache "$out/cache" "${set[@]}"
  $python -m training calibrate "$run" --data "$data" --cache "$out/cache"
  $python -m training release "$run" --data "$data" --cache "$out/cache" --models "$out/models"
  $python -m training evaluate --bundle "$out/models/$name-1.0" --dataset "$dataset" --data "$data" --split test \
    --json "$out/evaluations/$name.json"
}

rsna() { # pos_weight
  one "rsna-resnet18-grey-pos$1" rsna-resnet18-grey rsna build/rsna \
    "loss.pos_weight=$1" preprocess.size_px=128 loop.epochs=8
}

one kermany-vgg16 kermany-vgg16 kermany ../shared/data/kermany-224 preprocess.size_px=128 data.cache_size_px=128 \
  loop.epochs=6
one covidx-coatnet0 covidx-coatnet0 covidx ../shared/data/covidx-3class preprocess.size_px=128 network.input_px=128
rsna 1.0
rsna 2.22
rsna 4.44
one nih14-resnet_50-adam-step nih14-resnet_50-adam-step nih ../shared/data/nih-256 network.architecture=resnet50_v1 \
  start.weights=resnet50_v1-imagenet preprocess.size_px=128 loop.epochs=5 schedule.step_epochs=2
# The figures are of a run with start.blend=0.5, Lite's ReLU6 turned into SiLU over half of the steps: gone since, commit
# 7fe5403 has it. Here B0 keeps Lite's ReLU6.
one nih14-effnet_b0-adam-step nih14-effnet_b0-adam-step nih ../shared/data/nih-256 \
  start.weights=efficientnet_lite0-imagenet network.trunk_activation=relu6 preprocess.size_px=129 loop.epochs=4
