"""What `prepare` tells about a data set: what is wrong with it, label counts, co-occurrence."""

import csv
import io
from collections import Counter

import numpy as np

from training.datasets.base import Dataset, Issue, IssueKind, Split, labels_NK


def describe(dataset: Dataset, issues: tuple[Issue, ...], *, listed: int = 20) -> str:
    """Counts by split and label, which labels stand together, and every kind of issue with its first images."""
    lines = [f"{dataset.name} in {dataset.folder}"]
    for split in Split:
        records = dataset.of(split)
        if not records and split not in (Split.TRAIN_VAL, Split.TEST):
            continue
        patients = len({record.patient for record in records})
        lines.append(f"  {split.value:<10} {len(records):>7} images of {patients:>6} patients")
    lines += _finer(dataset)
    lines += ["", *_label_table(dataset), "", *_together(dataset), "", *_issue_lines(issues, listed)]
    lines += _across(dataset, issues)
    return "\n".join(lines)


def _finer(dataset: Dataset) -> list[str]:
    counts = Counter(record.detail for record in dataset.records if record.detail)
    return ["", *(f"  {count:>7} x {detail}" for detail, count in sorted(counts.items()))] if counts else []


def _across(dataset: Dataset, issues: tuple[Issue, ...]) -> list[str]:
    """Films that stand under two patients or in two splits: figures are flattered by them."""
    of = {record.image: record for record in dataset.records}
    twins = [(of[i.image], of[i.twin]) for i in issues if i.kind is IssueKind.DUPLICATE]
    apart = [(one, two) for one, two in twins if (one.split, one.patient) != (two.split, two.patient)]
    lines = [f"  {len(apart)} duplicates stand in two splits or under two patients:"] if apart else []
    return lines + [f"    {one.image} ({one.split}), {two.image} ({two.split})" for one, two in apart]


def issues_csv(issues: tuple[Issue, ...]) -> str:
    """All issues as CSV: kind, image, detail."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("kind", "image", "detail"))
    writer.writerows((issue.kind.value, issue.image, issue.detail) for issue in issues)
    return text.getvalue()


def _label_table(dataset: Dataset) -> list[str]:
    splits = [split for split in (Split.TRAIN_VAL, Split.VALIDATION, Split.TEST) if dataset.of(split)]
    lines = [f"  {'label':<20}" + "".join(f"{split.value:>18}" for split in splits)]
    counts = {split: labels_NK(dataset.of(split)) for split in splits}
    for k, output in enumerate(dataset.outputs):
        cells = [f"{int(c[:, k].sum()):>9} {100 * c[:, k].mean():>6.1f} %" for c in counts.values()]
        lines.append(f"  {output.name:<20}" + "".join(f"{cell:>18}" for cell in cells))
    return lines


def _together(dataset: Dataset) -> list[str]:
    """Labels that stand together, as counts of images in train_val."""
    labels = labels_NK(dataset.of(Split.TRAIN_VAL) or dataset.records).astype(np.int64)
    names = [output.name for output in dataset.outputs]
    heads = "".join(f"{name[:6]:>7}" for name in names)
    lines = ["  images with both labels", f"  {'':<20}{heads}"]
    both = labels.T @ labels
    lines += [f"  {name:<20}" + "".join(f"{count:>7}" for count in row) for name, row in zip(names, both, strict=True)]
    return lines


def _issue_lines(issues: tuple[Issue, ...], listed: int) -> list[str]:
    if not issues:
        return ["  no issues: no file is missing, unreadable or there twice"]
    lines = []
    for kind, count in sorted(Counter(issue.kind for issue in issues).items()):
        lines.append(f"  {count} x {kind.value}")
        of_kind = [issue for issue in issues if issue.kind is kind]
        lines += [f"    {issue.image}: {issue.detail}" for issue in of_kind[:listed]]
        if count > listed:
            lines.append(f"    … and {count - listed} more")
    return lines
