"""Evidence as Markdown that explains itself: what was done, the table, and what it does not say."""

from collections.abc import Sequence

from training.datasets.nih import subset_note
from training.evaluate.metrics import in_words, markdown_table
from training.evidence.gather import Evidence, External
from training.evidence.operating_points import PointMetrics, PointsOnTest
from training.evidence.robustness import Robustness
from training.evidence.subgroups import Partition
from training.report.page import share
from training.report.published import differences, published_on


def evidence_markdown(evidence: Evidence) -> str:
    """The whole page."""
    parts = [
        _head(evidence),
        _field(evidence),
        _answers(evidence.answers),
        _subgroups(evidence.subgroups),
        _robustness(evidence.robustness),
        _external(evidence.external),
    ]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _head(evidence: Evidence) -> str:
    test = evidence.test
    trial = (
        f"\n\n**A trial with at most {evidence.limit} images of each set: its figures are not those of the model.**"
        if evidence.limit
        else ""
    )
    note = subset_note(test.dataset, test.images) or ""
    return f"""
# Evidence for {evidence.bundle}

Bundle sha256 `{evidence.bundle_sha256[:16]}`, measured at commit {evidence.git_commit}.{trial}

{test.images} images of {test.patients} patients of {test.dataset}'s published test list were read through the very
classifier of the tool, {len(test.refused)} were refused.
No weight, epoch, calibration or threshold was chosen on these images.
{note}
Brackets: 95% intervals, patients drawn with replacement. n/a: the labels cannot give the figure.
Mean expected calibration error over the findings, 15 bins of equal mass: {share(test.mean_ece)}.

    python -m training evidence --bundle {evidence.bundle} --data DIR --json FILE --markdown FILE
"""


def _field(evidence: Evidence) -> str:
    test, systems = evidence.test, published_on(evidence.test.dataset)
    findings = [name for name in test.auc if name in {answer.finding for answer in evidence.answers.findings}]
    rows = [[name, in_words(test.auc[name]), *(share(system.auc.get(name)) for system in systems)] for name in findings]
    judged = tuple(name for name in findings if test.auc[name] is not None)
    means = [share(system.mean_auc_of(judged)) for system in systems]
    rows.append([f"**mean of {len(judged)}**", in_words(test.mean_auc), *means])
    lines = "\n".join(f"- {'; '.join(titles)}: {text}" for text, titles in differences(systems).items())
    return f"""
## AUC by finding, beside what others published

{markdown_table(["finding", "ours", *(system.title for system in systems)], rows)}

What differs from ours, so that no digit may be compared with another:

{lines}
"""


def _answers(answers: PointsOnTest) -> str:
    rows = []
    for answer in answers.findings:
        youden, sensitive = answer.at("youden"), answer.at("sensitivity_90")
        row = [answer.finding, str(answer.positives), f"{answer.all_negative:.3f}"]
        rows.append([*row, *_point(youden), *_point(sensitive)[1:]])
    mean = share(answers.mean_accuracy.get("youden"))
    rows.append(["**mean**", "", f"{answers.mean_all_negative:.3f}", mean, "", "", "", ""])
    head = ["finding", "positives", "accuracy of always no", "accuracy, youden", "sensitivity, youden",
            "specificity, youden", "sensitivity, sensitivity_90", "specificity, sensitivity_90"]  # fmt: skip
    return f"""
## Answers at the operating points

Thresholds were chosen on validation patients and are used here as they are in the bundle. youden is what the tool calls
'above its operating point'; sensitivity_90 is the one that found at least 90% there. Rare findings make 'always no'
look accurate though it finds nothing: read sensitivity and specificity, not accuracy.

{markdown_table(head, rows)}
"""


def _point(point: PointMetrics | None) -> list[str]:
    return (
        ["n/a"] * 3 if point is None else [in_words(v) for v in (point.accuracy, point.sensitivity, point.specificity)]
    )


def _subgroups(partitions: Sequence[Partition]) -> str:
    tables = []
    for one in partitions:
        head = ["finding", *(f"{g.name} ({g.images} images, {g.patients} patients)" for g in one.groups)]
        findings = one.groups[0].auc if one.groups else {}
        rows = [[name, *(in_words(group.auc[name]) for group in one.groups)] for name in findings]
        rows.append([f"**mean of {len(one.common)}**", *(in_words(group.mean_auc) for group in one.groups)])
        tables.append(f"### By {one.name}\n\n{markdown_table(head, rows)}")
    joined = "\n\n".join(tables)
    return f"""
## Subgroups

Means are over the findings that every group of the table can judge. What differs between groups is not only the
patients: AP films are taken in bed, of sicker people; groups have other shares of each finding. With few positives
an interval is wide, and a difference inside of it says nothing.

{joined}
"""


def _robustness(robustness: Robustness) -> str:
    rows = [["as it is", in_words(robustness.mean_auc), "", ""]]
    rows += [
        [e.change, in_words(e.mean_auc), in_words(e.difference, signed=True), in_words(e.moved, digits=4)]
        for e in robustness.effects
    ]
    head = ["the image", "mean AUC", "difference", "mean change of a probability"]
    return f"""
## The same films, a little different

{robustness.images} images of {robustness.patients} patients, drawn by a fixed seed ({robustness.left_out}
left out because a variant was refused); mean over the {len(robustness.judged)} findings that have positives among
them. The difference is paired: same images, same replicates.

'Resized first' brings the film to the network's size with another kernel before the tool's own. Turned films are black
where nothing was. Brightness multiplies grey values and clips; the tool's window takes most of it back. A JPEG file
that is compressed again as it once was hardly changes (the films of the subset are JPEG files). '12 bits for 8' puts
four random bits below each grey level.

{markdown_table(head, rows)}
"""


def _external(external: External | None) -> str:
    if external is None:
        body = "n/a: no folder with Kermany's layout was there, or the bundle has no Pneumonia output."
    else:
        body = (
            f"AUC of our Pneumonia output, pneumonia against normal: **{in_words(external.auc)}** on "
            f"{external.images} films ({external.positives} with pneumonia) of {external.patients} patients; "
            f"{external.refused} refused."
        )
    return f"""
## Another hospital: Kermany's test folder

{body}

What differs: children of one to five years in Guangzhou, the model learned from adults at the NIH; their pneumonia is
against normal films only, ours is one finding among many, mined from reports; no other finding is labelled there.
Nothing was fitted or chosen on these films.
"""
