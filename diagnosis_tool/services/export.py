"""What leaves the tool as tables: predictions, reviews, labels for training. Probabilities as on the page."""

import csv
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path, PurePath
from typing import Final

from diagnosis_tool.cxr.findings import NO_FINDING, OutputKind
from diagnosis_tool.cxr.types import ViewPosition
from diagnosis_tool.domain import wording
from diagnosis_tool.domain.labels import decided_labels
from diagnosis_tool.domain.reviews import Review, ReviewState
from diagnosis_tool.domain.studies import Instance, Study
from diagnosis_tool.errors import RequestRefused
from diagnosis_tool.services import browse
from diagnosis_tool.services.context import Context

BOM: Final = "\ufeff"
"""Put before a table that a spreadsheet will open: without it names in other scripts are read wrongly."""
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_PREDICTION: Final = (
    "study", "instance", "file", "sha256", "patient_id", "patient_name", "view", "age", "sex", "acquired_at",
    "received_at", "state", "error", "bundle",
)  # fmt: skip
_REVIEW: Final = (
    "study", "instance", "file", "sha256", "patient_id", "bundle", "revision", "state", "by", "at", "signed_by",
    "signed_at", "finding", "probability", "operating_point", "model", "verdict", "added", "boxes", "note",
)  # fmt: skip


def predictions_csv(studies: Iterable[Study]) -> Iterator[str]:
    """A line an image, a column an output of any model among them; empty where the image has none."""
    found = list(studies)
    instances = [instance for study in found for instance in study.instances]
    outputs = list(dict.fromkeys(o.name for i in instances if i.prediction for o in i.prediction.outputs))
    yield csv_line([*_PREDICTION, *outputs, "above_operating_point"])
    for instance in instances:
        read = {o.name: o for o in instance.prediction.outputs} if instance.prediction else {}
        printed = [wording.probability(read[name].probability) if name in read else "" for name in outputs]
        above = [o.name for o in read.values() if o.kind is OutputKind.FINDING and o.is_above_threshold]
        yield csv_line([*_about(instance), *printed, " ".join(above)])


def _about(instance: Instance) -> list[str]:
    return [
        instance.study_uid,
        instance.uid,
        instance.file_name,
        instance.sha256,
        instance.patient_id or "",
        instance.patient_name or "",
        instance.view_position or "",
        "" if instance.age_years is None else str(instance.age_years),
        instance.sex or "",
        instance.acquired_at.isoformat() if instance.acquired_at else "",
        instance.received_at.isoformat() if instance.received_at else "",
        instance.state,
        str(instance.error or ""),
        instance.prediction.identity.bundle if instance.prediction else "",
    ]


def reviews_csv(context: Context, study_uids: Sequence[str] | None = None) -> Iterator[str]:
    """A line for each output and each added finding of every reviewed image, by its newest revision; None: of all."""
    yield csv_line(_REVIEW)
    for uid, review in context.reviews.all(study_uids, context.projects):
        yield from _review_lines(browse.get_instance(context, uid), review)


def _review_lines(instance: Instance, review: Review) -> Iterator[str]:
    last, opinion = review.history[-1], review.opinion
    head = [
        instance.study_uid, instance.uid, instance.file_name, instance.sha256, instance.patient_id or "",
        review.bundle or "", str(review.revision), review.state, last.by, last.at.isoformat(), review.signed_by or "",
        review.signed_at.isoformat() if review.signed_at else "",
    ]  # fmt: skip
    outputs = {o.name: o for o in instance.prediction.outputs} if instance.prediction else {}
    for name in dict.fromkeys((*outputs, *opinion.added, *(box.finding for box in opinion.boxes))):
        output = outputs.get(name)
        boxes = [f"{b.x:g} {b.y:g} {b.width:g} {b.height:g}" for b in opinion.boxes if b.finding == name]
        threshold = output.threshold if output else None
        side = "" if output is None or threshold is None else "above" if output.is_above_threshold else "below"
        yield csv_line(
            [
                *head,
                name,
                wording.probability(output.probability) if output else "",
                "" if threshold is None else wording.probability(threshold),
                side,
                opinion.verdicts.get(name, ""),
                "1" if name in opinion.added else "0",
                "; ".join(boxes),
                opinion.note,
            ]
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelExport:
    """labels_csv: in the layout of the training pipeline's data set `own`. left_out: signed, but not decided in full.

    images: (content, path in the table) of each line.
    """

    labels_csv: str
    images: tuple[tuple[str, str], ...]
    left_out: int
    has_absence: bool


def training_labels(
    context: Context, study_uids: Sequence[str] | None = None, *, silence_agrees: bool = False
) -> LabelExport:
    """The signed reviews as labels (docs/datasets.md, own). Of one content the latest signature counts.

    Raises RequestRefused when the reviews are of models with different outputs.
    """
    chosen: dict[str, tuple[Instance, Review]] = {}
    for uid, review in context.reviews.all(study_uids, context.projects):
        instance = browse.get_instance(context, uid)
        known = chosen.get(instance.sha256)
        if review.state is ReviewState.SIGNED and (known is None or str(known[1].signed_at) < str(review.signed_at)):
            chosen[instance.sha256] = instance, review
    lines, images, names, left_out = [], [], None, 0
    for instance, review in chosen.values():
        labels = _decided(instance, review, silence_agrees)
        if labels is None:
            left_out += 1
            continue
        names = names or list(labels)
        if list(labels) != names:
            raise RequestRefused("These reviews are of models with different outputs. Export them model by model.")
        path = _image_path(instance)
        images.append((instance.sha256, path))
        lines.append(_label_line(instance, path, labels))
    head = csv_line(["image", "patient", *(names or ()), "view", "age", "sex"])
    return LabelExport(
        labels_csv=head + "".join(lines),
        images=tuple(images),
        left_out=left_out,
        has_absence=NO_FINDING in (names or ()),
    )


def _decided(instance: Instance, review: Review, silence_agrees: bool) -> dict[str, int] | None:
    if instance.prediction is None:
        return None
    return decided_labels(instance.prediction, review.opinion, silence_agrees=silence_agrees)


def _label_line(instance: Instance, path: str, labels: dict[str, int]) -> str:
    about = [
        instance.view_position if instance.view_position in {ViewPosition.PA, ViewPosition.AP} else "",
        "" if instance.age_years is None else str(instance.age_years),
        instance.sex if instance.sex in {"M", "F"} else "",
    ]
    patient = instance.patient_id or f"image-{instance.sha256[:16]}"  # nobody named: a patient of its own
    return csv_line([path, patient, *(str(label) for label in labels.values()), *(str(cell or "") for cell in about)])


def _image_path(instance: Instance) -> str:
    """Under the instance's uid, so that none meets another; the file's own name stays where it is plain.

    NIH's films are known by their names: training keeps those of its test patients out.
    """
    name = PurePath(instance.file_name)
    stem, suffix = (re.sub(r"[^A-Za-z0-9_-]", "_", part)[:60] for part in (name.stem, name.suffix[1:]))
    return f"images/{instance.uid}/{stem or 'film'}.{suffix or 'dcm'}"


def write_training_set(context: Context, folder: Path, *, silence_agrees: bool) -> LabelExport:
    """Labels, layout and the images themselves, ready for `python -m training prepare own --data FOLDER`.

    Raises RequestRefused when the folder is not empty, and as training_labels.
    """
    if folder.exists() and any(folder.iterdir()):
        raise RequestRefused("%(folder)s is not empty. Name a new folder.", folder=folder)
    made = training_labels(context, silence_agrees=silence_agrees)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "labels.csv").write_text(made.labels_csv, encoding="utf-8", newline="")
    if made.has_absence:
        (folder / "dataset.toml").write_text(f'absence = "{NO_FINDING}"\n', encoding="utf-8")
    for sha256, path in made.images:
        target = folder / path
        target.parent.mkdir(parents=True)
        with context.blobs.open(sha256) as source, target.open("wb") as copy:
            shutil.copyfileobj(source, copy)
    return made


def csv_line(cells: Iterable[str]) -> str:
    """One line of CSV, its end included, in which no cell is a formula to a spreadsheet."""
    buffer = StringIO()
    csv.writer(buffer).writerow([_harmless(cell) for cell in cells])
    return buffer.getvalue()


def _harmless(cell: str) -> str:
    """A spreadsheet must not run what a file or a patient is called."""
    return f"'{cell}" if cell.startswith(_FORMULA) else cell
