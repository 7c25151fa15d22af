"""`evidence`: reads, measures, writes the tables."""

import argparse
import json
from pathlib import Path

from diagnosis_tool.cxr.bundle import CONVERTER, resolve_bundle
from diagnosis_tool.cxr.classifier import load_classifier
from training.errors import DatasetInvalid
from training.evaluate.evaluation import STORED
from training.evidence.gather import gather
from training.evidence.markdown import evidence_markdown
from training.files import write_whole
from training.provenance import git_commit


def evidence_options(sub: argparse.ArgumentParser) -> None:
    """Adds the options of `evidence`."""
    sub.add_argument(
        "--bundle", default="default", metavar="DIR", help="a bundle folder, a name in models/, or 'default'"
    )
    sub.add_argument("--models", type=Path, default=Path("models"), metavar="DIR")
    sub.add_argument("--data", type=Path, required=True, metavar="DIR", help="NIH's folder, or one that holds it")
    sub.add_argument("--robustness-images", type=int, default=400, metavar="N", help="default 400")
    sub.add_argument("--limit", type=int, metavar="N", help="read at most N images of each set: a trial")
    sub.add_argument("--json", type=Path, metavar="FILE")
    sub.add_argument("--markdown", type=Path, metavar="FILE", help="default: print it")


def evidence(options: argparse.Namespace) -> int:
    """Runs `evidence`."""
    if min(options.robustness_images, options.limit or 1) < 1:
        raise DatasetInvalid("--robustness-images and --limit must be at least 1.")
    found = gather(
        load_classifier(resolve_bundle(options.models, options.bundle)),
        options.data,
        robustness_images=options.robustness_images,
        limit=options.limit,
        git_commit=git_commit(),
    )
    if options.json:
        plain = CONVERTER.unstructure(found) | {"test": STORED.unstructure(found.test)}
        write_whole(options.json, (json.dumps(plain, indent=1, allow_nan=False) + "\n").encode())
    if options.markdown is None:
        print(evidence_markdown(found), end="")
    else:
        write_whole(options.markdown, evidence_markdown(found).encode())
        print(f"wrote {options.markdown}")
    return 0
