"""`compare`, and the page of `evaluate`: reads, judges, writes the page with CSV and JSON beside it."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from training.evaluate.evaluation import Evaluation
from training.evaluate.predictions import Predictions
from training.files import write_whole
from training.provenance import git_commit
from training.report.page import page
from training.report.runs import Run, load_runs, of_evaluation
from training.report.tables import metrics_csv, metrics_json

OUT: Final = Path("build/comparison")


def compare_options(sub: argparse.ArgumentParser) -> None:
    """Adds the options of `compare`."""
    sub.add_argument(
        "runs", type=Path, nargs="+", metavar="RUN", help="a run's folder, a folder of folds, or a JSON of evaluate"
    )
    sub.add_argument("--out", type=Path, default=OUT, metavar="DIR", help=f"default {OUT}")
    sub.add_argument("--title", default="Comparison of runs")


def compare(options: argparse.Namespace) -> int:
    """Runs `compare`."""
    runs = load_runs(options.runs)
    files = write_report(runs, options.out / "comparison.html", title=options.title)
    print(f"{len(runs)} runs compared: " + ", ".join(str(file) for file in files))
    return 0


def write_evaluation_page(evaluation: Evaluation, predictions: Predictions, file: Path) -> tuple[Path, ...]:
    """The page of one evaluation."""
    run = of_evaluation(evaluation, predictions)
    return write_report([run], file, title=f"{run.title} on {evaluation.dataset}, {evaluation.split}")


def write_report(runs: Sequence[Run], file: Path, *, title: str) -> tuple[Path, ...]:
    """Writes FILE.html, FILE-figures.csv and FILE-figures.json, each whole or not at all; returns their paths."""
    commit = git_commit()
    table, values = (file.with_name(f"{file.stem}-figures{end}") for end in (".csv", ".json"))
    html = page(runs, title=title, commit=commit, beside=(table.name, values.name))
    write_whole(table, metrics_csv(runs).encode())
    write_whole(values, metrics_json(runs, commit=commit).encode())
    write_whole(file, html.encode())
    return file, table, values
