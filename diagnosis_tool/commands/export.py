"""`diagnosis-tool export`: what readers said, as a table or as labels to train with."""

import argparse
import sys
from pathlib import Path

from diagnosis_tool.commands.environment import existing_context
from diagnosis_tool.domain.audit import Action
from diagnosis_tool.errors import RequestRefused
from diagnosis_tool.services import export
from diagnosis_tool.services.audit import record_command
from diagnosis_tool.services.context import Context


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Registers `export reviews` and `export labels`."""
    parser = commands.add_parser("export", help="write what readers said: a table, or labels to train with")
    kinds = parser.add_subparsers(required=True, metavar="WHAT")
    reviews = kinds.add_parser("reviews", help="all reviews as CSV, a line an output")
    reviews.add_argument("out", metavar="FILE", help="- for standard output")
    reviews.set_defaults(command=_reviews)
    labels = kinds.add_parser("labels", help="signed reviews as a training data set: labels.csv and the images")
    labels.add_argument("out", metavar="FOLDER", help="a new one")
    labels.add_argument(
        "--silence-agrees", action="store_true", help="a signed finding without a verdict counts as agreed with"
    )
    labels.set_defaults(command=_labels)


def _reviews(options: argparse.Namespace) -> int:
    context = existing_context()
    lines = list(export.reviews_csv(context))
    _record(context, "reviews")
    if options.out == "-":
        sys.stdout.writelines(lines)
        return 0
    try:
        with open(options.out, "x", encoding="utf-8", newline="") as file:
            file.write(export.BOM)
            file.writelines(lines)
    except OSError as error:
        raise RequestRefused("%(file)s cannot be written: %(why)s.", file=options.out, why=error.strerror) from error
    return 0


def _record(context: Context, what: str) -> None:
    """What leaves is recorded with each study that it is of, before it is written."""
    record_command(context, Action.EXPORT, detail=what, study_uids=list(context.trail.seen))


def _labels(options: argparse.Namespace) -> int:
    context = existing_context()
    made = export.write_training_set(context, Path(options.out), silence_agrees=options.silence_agrees)
    _record(context, "labels")
    print(f"{len(made.images)} images with labels in {options.out}", file=sys.stderr)
    if made.left_out:
        print(
            f"{made.left_out} signed images were left out: not every finding has a verdict that decides it.",
            file=sys.stderr,
        )
    return 0
