#!/usr/bin/env bash
# The shipped models, from start weights to bundles: resnet_50-nih14 and efficientnet_b7-nih14. About five hours on two CPU
# cores. From the repository's root, after the start weights were unpacked (docs/training.md): docs/results/models.sh
# A run that was stopped goes on; a finished one is skipped.
set -euo pipefail
export MALLOC_MMAP_THRESHOLD_=8589934592 MALLOC_TRIM_THRESHOLD_=17179869184
python=${PYTHON:-.venv/bin/python}
recipes=training/recipes

run() { # run's name, recipe, then --set options
  local name=$1 recipe=$2 set=()
  shift 2
  for pair in "$@"; do set+=(--set "$pair"); done
  $python -m training train "$recipes/$recipe.toml" --out "runs/$name" "${set[@]}"
}
as_first='network.mean=[0.485, 0.456, 0.406]' # nih14-mobilenet_v2-first has the mean and std that ImageNet's weights had
as_first_std='network.std=[0.229, 0.224, 0.225]'

run nih14-mobilenet_v2-first nih14-mobilenet_v2-first
run nih14-mobilenet_v2 nih14-mobilenet_v2
run nih14-resnet_50-teacher nih14-resnet_50-teacher
[ -f runs/soft-labels.npz ] ||
  $python -m training teach runs/nih14-mobilenet_v2 runs/nih14-resnet_50-teacher --out runs/soft-labels.npz

run nih14-resnet_50-taught nih14-resnet_50-taught
run nih14-mobilenet_v2-taught-2 nih14-mobilenet_v2-taught
run nih14-mobilenet_v2-taught-3 nih14-mobilenet_v2-taught seed=3 "$as_first" "$as_first_std" \
  'start.trained=["runs/nih14-mobilenet_v2-first"]'
run nih14-mobilenet_v2-taught-4 nih14-mobilenet_v2-taught seed=4 optimizer.learning_rate=1e-4 \
  'start.trained=["runs/nih14-mobilenet_v2-taught-2"]'
run nih14-mobilenet_v2-taught-5 nih14-mobilenet_v2-taught seed=5 optimizer.learning_rate=1e-4 "$as_first" \
  "$as_first_std" 'start.trained=["runs/nih14-mobilenet_v2-taught-3"]'

# where to look, by readers' boxes
[ -f runs/soft-labels-2.npz ] ||
  $python -m training teach runs/nih14-mobilenet_v2-taught-5 runs/nih14-resnet_50-taught --out runs/soft-labels-2.npz
run nih14-mobilenet_v2-located-6 nih14-mobilenet_v2-located
run nih14-mobilenet_v2-located-7 nih14-mobilenet_v2-located seed=7 "$as_first" "$as_first_std" \
  'start.trained=["runs/nih14-mobilenet_v2-taught-5"]'
run nih14-resnet_50-located nih14-resnet_50-located

# half way back: most of what the boxes taught stays, and what they cost elsewhere goes (docs/results/models.md)
halfway() { # run before, run after, run's name, then options
  local name=$3
  [ -f "runs/$name/run.json" ] || $python -m training average "runs/$1" "runs/$2" --share 0.5 --out "runs/$name" "${@:4}"
}
halfway nih14-mobilenet_v2-taught-4 nih14-mobilenet_v2-located-6 nih14-mobilenet_v2-halfway-6
halfway nih14-mobilenet_v2-taught-5 nih14-mobilenet_v2-located-7 nih14-mobilenet_v2-halfway-7
halfway nih14-resnet_50-taught nih14-resnet_50-located nih14-resnet_50-halfway --size 224
run nih14-efficientnet_b7 nih14-efficientnet_b7

for name in nih14-resnet_50-halfway nih14-efficientnet_b7; do
  $python -m training calibrate "runs/$name"
  $python -m training release "runs/$name"
done
