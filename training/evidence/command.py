"""`calibration-study` and `evidence`: read, measure, write the tables."""

import argparse
import json
from pathlib import Path

from diagnosis_tool.cxr.bundle import CONVERTER, resolve_bundle
from diagnosis_tool.cxr.classifier import load_classifier
from training.datasets import read_dataset
from training.datasets.base import Record
from training.errors import DatasetInvalid, RecipeInvalid, TrainingFailed
from training.evaluate.predictions import Predictions
from training.evidence.calibration_study import parts_of, study, study_markdown
from training.evidence.gather import gather
from training.evidence.markdown import evidence_markdown
from training.files import write_whole
from training.provenance import git_commit
from training.recipes.config import Weighting
from training.recipes.load import load_recipe
from training.train.run_folder import RunFolder


def add_calibration_study(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the `calibration-study` command."""
    sub = commands.add_parser(
        "calibration-study", help="compare ways to calibrate runs, on halves of their validation patients"
    )
    sub.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="a folder that train wrote, with validation.npz")
    sub.add_argument("--data", type=Path, required=True, metavar="DIR", help="the data set that the runs trained on")
    sub.add_argument("--recipe", type=Path, required=True, metavar="FILE", help="its [calibration] states the ward")
    sub.add_argument("--markdown", type=Path, metavar="FILE", help="default: print it")
    sub.set_defaults(command=_calibration_study)


def _calibration_study(options: argparse.Namespace) -> int:
    ward = load_recipe(options.recipe).calibration
    if ward.weighting is not Weighting.WARD:
        raise RecipeInvalid(f"{options.recipe} states no ward: its [calibration] needs weighting = ward.")
    tables = []
    for path in options.runs:
        run = RunFolder(path)
        said, recipe = run.validation(), run.recipe()
        if said is None:
            raise TrainingFailed(f"{run.validation_file} is not there: train the run again with this version.")
        records = _records_of(said, read_dataset(recipe.data.dataset, options.data).records)
        sizes = {name: int(mask_n.sum()) for name, mask_n in parts_of(records, ward).items()}
        tables.append(study_markdown(recipe.name, sizes, study(said, records, ward)))
    _write("\n".join(tables), options.markdown)
    return 0


def add_evidence(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the `evidence` command."""
    sub = commands.add_parser("evidence", help="subgroups, robustness, another hospital: all tables of one bundle")
    sub.add_argument(
        "--bundle", default="default", metavar="DIR", help="a bundle folder, a name in models/, or 'default'"
    )
    sub.add_argument("--models", type=Path, default=Path("models"), metavar="DIR")
    sub.add_argument("--data", type=Path, required=True, metavar="DIR", help="NIH's folder, or one that holds it")
    sub.add_argument("--robustness-images", type=int, default=400, metavar="N", help="default 400")
    sub.add_argument("--limit", type=int, metavar="N", help="read at most N images of each set: a trial")
    sub.add_argument("--json", type=Path, metavar="FILE")
    sub.add_argument("--markdown", type=Path, metavar="FILE", help="default: print it")
    sub.set_defaults(command=_evidence)


def _evidence(options: argparse.Namespace) -> int:
    if min(options.robustness_images, options.limit or 1) < 1:
        raise DatasetInvalid("--robustness-images and --limit must be at least 1.")
    evidence = gather(
        load_classifier(resolve_bundle(options.models, options.bundle)),
        options.data,
        robustness_images=options.robustness_images,
        limit=options.limit,
        git_commit=git_commit(),
    )
    if options.json:
        text = json.dumps(CONVERTER.unstructure(evidence), indent=1, allow_nan=False) + "\n"
        write_whole(options.json, text.encode())
    _write(evidence_markdown(evidence), options.markdown)
    return 0


def _records_of(said: Predictions, records: tuple[Record, ...]) -> tuple[Record, ...]:
    by_image = {record.image: record for record in records}
    missing = [image for image in said.images if image not in by_image]
    if missing:
        raise TrainingFailed(f"{len(missing)} validation images of the run are not in the data, {missing[0]} first.")
    return tuple(by_image[image] for image in said.images)


def _write(text: str, file: Path | None) -> None:
    if file is None:
        print(text, end="")
    else:
        write_whole(file, text.encode())
        print(f"wrote {file}")
