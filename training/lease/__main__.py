"""`python -m training.lease`: each call goes on where the last one stopped, and what is finished is skipped.

Imports only what training needs: a lent machine is bare, and what it lacks has to travel.
"""

import argparse
import sys
import tarfile
from pathlib import Path

import torch

from diagnosis_tool.errors import DiagnosisToolError
from training.evaluate.predictions import write_predictions
from training.lease.chain import BOXES, CHAIN, Step, recipe_of
from training.lease.parts import pack, packed_tars
from training.prepare.data import load_training_data
from training.train.devices import AUTO, pick_device
from training.train.distillation import soft_labels
from training.train.loop import train
from training.train.run_folder import RunFolder

_DATA = "nih-256"  # in NIH's layout


def main(arguments: list[str]) -> int:
    """Runs one command; 0 when it did what was asked."""
    try:
        _obey(_parser().parse_args(arguments))
    except DiagnosisToolError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _obey(options: argparse.Namespace) -> None:
    match options.command:
        case "carry":
            for file in packed_tars(options.data, options.boxes, options.start_weights, options.out):
                print(file, file.stat().st_size)
        case "unpack":
            _unpack(options.files, options.work)
        case "train":
            for step in CHAIN:
                _train(step, options.work, tuple(options.set), pick_device(options.device))
        case "pack":
            for file in pack(_run(options.run, options.work), options.out, options.first, options.count):
                print(file)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training.lease", description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("lease"), help="where all lies on the lent machine")
    commands = parser.add_subparsers(dest="command", required=True)
    carry = commands.add_parser("carry", help="at home: make the tars that travel, each small enough for one call")
    carry.add_argument("--data", type=Path, default=Path("../shared/data/nih-256"))
    carry.add_argument("--boxes", type=Path, default=Path("../shared/data") / BOXES)
    carry.add_argument("--start-weights", type=Path, default=Path("start-weights"))
    carry.add_argument("--out", type=Path, required=True)
    commands.add_parser("unpack", help="there: unpack tars").add_argument("files", type=Path, nargs="+")
    chain = commands.add_parser("train", help="there: the chain of runs, or go on with it")
    chain.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="for every run; for trials")
    chain.add_argument("--device", default=AUTO)
    parts = commands.add_parser("pack", help="there: some of the 15-MiB parts of a finished run, as float16")
    parts.add_argument("run", choices=[step.run for step in CHAIN])
    parts.add_argument("--out", type=Path, required=True)
    parts.add_argument("--first", type=int, default=0)
    parts.add_argument("--count", type=int, default=4)
    return parser


def _run(step: str, work: Path) -> RunFolder:
    return RunFolder(work / "runs" / step)


def _unpack(files: list[Path], work: Path) -> None:
    work.mkdir(parents=True, exist_ok=True)
    for file in files:
        with tarfile.open(file) as archive:
            archive.extractall(work, filter="data")


def _train(step: Step, work: Path, overrides: tuple[str, ...], device: torch.device) -> None:
    recipe, nih, cache = recipe_of(step, work, overrides), work / _DATA, work / "cache"
    if recipe.data.soft_labels and not Path(recipe.data.soft_labels).is_file():
        soft = soft_labels([_run(name, work) for name in step.teachers], nih, cache, device)
        write_predictions(Path(recipe.data.soft_labels), soft)
    data = load_training_data(recipe, nih, cache)
    print(f"{step.run}: {recipe.loop.epochs} epochs at {recipe.preprocess.size_px} px", flush=True)
    train(recipe, data, _run(step.run, work), device)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
