"""The words that pages, viewer and reports use for the same things, in one place, in the language in use. Pure.

It never says more than the model does: a probability and on which side of its operating point, never that a disease
was detected or ruled out.
"""

from typing import Final

from diagnosis_tool.cxr.bundle import Interval
from diagnosis_tool.cxr.findings import OutputKind, display_name
from diagnosis_tool.cxr.types import PredictedOutput, Prediction
from diagnosis_tool.domain.access import Permission, Role, User
from diagnosis_tool.domain.language import gettext as _
from diagnosis_tool.domain.language import gettext_noop, ngettext
from diagnosis_tool.domain.reviews import Opinion, Review, ReviewState, Verdict
from diagnosis_tool.domain.studies import Instance, InstanceState, StudyProgress
from diagnosis_tool.domain.tiers import Tier
from diagnosis_tool.domain.worklist import Sort, StudyState, WorklistRow

_FINDINGS: Final = (
    gettext_noop("Atelectasis"), gettext_noop("Cardiomegaly"), gettext_noop("Consolidation"), gettext_noop("Edema"),
    gettext_noop("Effusion"), gettext_noop("Emphysema"), gettext_noop("Fibrosis"), gettext_noop("Hernia"),
    gettext_noop("Infiltration"), gettext_noop("Mass"), gettext_noop("Nodule"), gettext_noop("Pleural thickening"),
    gettext_noop("Pneumonia"), gettext_noop("Pneumothorax"), gettext_noop("No Finding"),
    gettext_noop("Aortic enlargement"), gettext_noop("Calcification"), gettext_noop("Enlarged mediastinum"),
    gettext_noop("Fracture"), gettext_noop("Lung opacity"), gettext_noop("Scoliosis"),
    gettext_noop("Subcutaneous emphysema"), gettext_noop("Support device"),
)  # fmt: skip
"""What display_name makes of the findings that we know, for who translates."""

_STATES: Final = {
    InstanceState.QUEUED: ("○", gettext_noop("queued")),
    InstanceState.READING: ("◐", gettext_noop("reading")),
    InstanceState.DONE: ("●", gettext_noop("done")),
    InstanceState.REFUSED: ("▲", gettext_noop("refused")),
    InstanceState.FAILED: ("✕", gettext_noop("failed")),
}

_UNFINISHED: Final = {
    InstanceState.QUEUED: gettext_noop("Waiting to be read. Nothing is known about this image yet."),
    InstanceState.READING: gettext_noop("Being read now. Nothing is known about this image yet."),
}


_ROLES: Final = {
    Role.ADMIN: gettext_noop("administrator"),
    Role.RADIOLOGIST: gettext_noop("radiologist"),
    Role.TECHNICIAN: gettext_noop("technician"),
    Role.VIEWER: gettext_noop("viewer (only looks)"),
}
_SCOPE_NAMES: Final = {
    Permission.READ: gettext_noop("look at studies"),
    Permission.UPLOAD: gettext_noop("upload"),
    Permission.REVIEW: gettext_noop("review and sign"),
    Permission.EXPORT: gettext_noop("export"),
    Permission.DELETE: gettext_noop("delete studies"),
    Permission.METRICS: gettext_noop("measure the server"),
}


def role_name(role: Role) -> str:
    """What somebody is here."""
    return _(_ROLES[role])


def scope_name(scope: Permission) -> str:
    """What a token is for."""
    return _(_SCOPE_NAMES[scope])


def projects_of(user: User, reader: User) -> str:
    """The names of a user's projects that the reader belongs to as well, and how many others there are."""
    names = [project.name for project in user.projects if project in reader.projects]
    if others := len(user.projects) - len(names):
        names.append(ngettext("%(n)s other", "%(n)s others", others))
    return ", ".join(names) or "–"


def account_state(user: User) -> str:
    """Whether an account leads in."""
    if user.is_disabled:
        return _("disabled")
    if user.issuer is not None:
        return _("signs in at %(issuer)s", issuer=user.issuer)
    return _("may sign in") if user.can_sign_in else _("has no password yet")


def research_use() -> str:
    """The foot of every page."""
    return _("Research use only, not a medical device.")


def finding_name(name: str) -> str:
    """An output's name as it is shown to a reader; one that we have no word for as the bundle calls it."""
    return _(display_name(name))


def state_word(state: InstanceState) -> str:
    """The state in one word."""
    return _(_STATES[state][1])


def state_shape(state: InstanceState) -> str:
    """The sign that stands beside the state's word, so that colour is never alone."""
    return _STATES[state][0]


def probability(value: float) -> str:
    """Two digits with a point, in every language: the one way in which pages, charts and reports print it."""
    return f"{value:.2f}"


def interval(value: Interval) -> str:
    """A figure with its 95% interval: '0.83 (0.77 to 0.88)'."""
    return _(
        "%(value)s (%(low)s to %(high)s)",
        value=probability(value.value),
        low=probability(value.low),
        high=probability(value.high),
    )


_TIERS: Final = {
    Tier.POSITIVE: gettext_noop("positive"),
    Tier.UNSURE: gettext_noop("unsure"),
    Tier.NEGATIVE: gettext_noop("negative"),
}


def tier_word(tier: Tier) -> str:
    """The tier in one word."""
    return _(_TIERS[tier])


def side_of_threshold(output: PredictedOutput) -> str:
    """'above the operating point 0.31', 'below …' or 'no operating point'."""
    if output.threshold is None:
        return _("no operating point")
    threshold = probability(output.threshold)
    if output.is_above_threshold:
        return _("above the operating point %(threshold)s", threshold=threshold)
    return _("below the operating point %(threshold)s", threshold=threshold)


def short_side(output: PredictedOutput) -> str:
    """Where room is short: 'above 0.31', 'below 0.31', '' without an operating point."""
    if output.threshold is None:
        return ""
    threshold = probability(output.threshold)
    if output.is_above_threshold:
        return _("above %(threshold)s", threshold=threshold)
    return _("below %(threshold)s", threshold=threshold)


def output_sentence(output: PredictedOutput) -> str:
    """For example 'Effusion 0.64, above the operating point 0.31'."""
    return f"{finding_name(output.name)} {probability(output.probability)}, {side_of_threshold(output)}"


def outcome(instance: Instance) -> str:
    """What became of an uploaded file, in one or two sentences for the reader."""
    if instance.prediction is not None:
        return prediction_outcome(instance.prediction)
    if instance.state in _UNFINISHED:
        return _(_UNFINISHED[instance.state])
    error = instance.error
    reason = _(error.message, **error.values) if error else _("no reason was recorded. Send the file again.")
    if instance.state is InstanceState.REFUSED:
        return _("Refused: %(reason)s", reason=reason)
    return _("Not read: %(reason)s", reason=reason)


def notes(instance: Instance) -> tuple[str, ...]:
    """What who looks at the image must know of how it was read."""
    return tuple(_(note.message, **note.values) for note in instance.notes or ())


def prediction_outcome(prediction: Prediction) -> str:
    """Which findings are above their operating points."""
    findings = [o for o in prediction.outputs if o.kind is OutputKind.FINDING]
    above = sorted((o for o in findings if o.is_above_threshold), key=lambda o: -o.probability)
    if above:
        names = ", ".join(f"{finding_name(o.name)} {probability(o.probability)}" for o in above)
        return _("Above the operating point: %(findings)s.", findings=names)
    if all(o.threshold is None for o in findings):
        return _("This model has no operating points: its probabilities stand on their own.")
    return _("No finding is above its operating point.")


def batch_summary(study: StudyProgress) -> str:
    """For example '5 of 24 finished: 4 read, 1 refused'."""
    counts = {state: study.count(state) for state in InstanceState}
    words = {
        InstanceState.DONE: _("%(n)s read", n=counts[InstanceState.DONE]),
        InstanceState.REFUSED: _("%(n)s refused", n=counts[InstanceState.REFUSED]),
        InstanceState.FAILED: _("%(n)s failed", n=counts[InstanceState.FAILED]),
    }
    parts = [text for state, text in words.items() if counts[state]]
    if study.finished < study.total:
        head = _("%(finished)s of %(total)s finished", finished=study.finished, total=study.total)
    else:
        head = _("All %(total)s finished", total=study.total)
    return f"{head}: {', '.join(parts)}" if parts else head


def map_note(output: PredictedOutput) -> str:
    """What stands under a small heatmap beside name and probability. Every map is stretched to its own maximum."""
    if output.heatmap.scale == 0:
        return _("map is empty")
    if output.threshold is None:
        return _("no operating point")
    return _("above operating point") if output.is_above_threshold else _("below operating point")


def map_caption(output: PredictedOutput) -> str:
    """What stands under a large heatmap."""
    sentence = output_sentence(output)
    if output.heatmap.scale == 0:
        return _("%(output)s – map is empty", output=sentence)
    return sentence if output.is_above_threshold else _("%(output)s – map dimmed", output=sentence)


_STUDY_STATES: Final = {
    StudyState.NEW: ("○", gettext_noop("new")),
    StudyState.READING: ("◐", gettext_noop("being read")),
    StudyState.READ: ("●", gettext_noop("read by model")),
    StudyState.REVIEWED: ("◆", gettext_noop("reviewed")),
    StudyState.SIGNED: ("✔", gettext_noop("signed")),
    StudyState.AMENDED: ("◇", gettext_noop("amended")),
    StudyState.REFUSED: ("▲", gettext_noop("refused")),
    StudyState.FAILED: ("✕", gettext_noop("failed")),
}


def study_state(state: StudyState) -> str:
    """The word of a study's state on the worklist."""
    return _(_STUDY_STATES[state][1])


def study_shape(state: StudyState) -> str:
    """The sign beside that word, so that colour is never alone."""
    return _STUDY_STATES[state][0]


def study_note(row: WorklistRow) -> str:
    """What the state alone would hide: '3 of 8', '1 refused, 2 failed'; empty when it hides nothing."""
    if row.state is StudyState.READING:
        return _("%(finished)s of %(total)s", finished=row.finished, total=row.total)
    parts = []
    if row.refused and not (row.state is StudyState.REFUSED and row.refused == row.total):
        parts.append(_("%(n)s refused", n=row.refused))
    if row.failed and not (row.state is StudyState.FAILED and row.failed == row.total):
        parts.append(_("%(n)s failed", n=row.failed))
    return ", ".join(parts)


_SORTS: Final = {
    Sort.NEWEST: gettext_noop("newest first"),
    Sort.OLDEST: gettext_noop("oldest first"),
    Sort.URGENT: gettext_noop("most urgent first"),
}


def sort_name(sort: Sort) -> str:
    """The order in words."""
    return _(_SORTS[sort])


def patient(row: WorklistRow | Instance) -> str:
    """The name, else the id or pseudonym, else that there is none."""
    return row.patient_name or row.patient_id or _("no patient named")


def review_state(review: Review) -> str:
    """Whether a reader looked at it, and whose signature stands under it."""
    signed = {"name": review.signed_by, "time": f"{review.signed_at.astimezone():%Y-%m-%d %H:%M}"} if (
        review.signed_at
    ) else {}  # fmt: skip
    match review.state:
        case ReviewState.NONE:
            return _("Not reviewed by a reader.")
        case ReviewState.DRAFT:
            return _("Reviewed by %(name)s, not signed.", name=review.history[-1].by)
        case ReviewState.SIGNED:
            return _("Signed by %(name)s, %(time)s.", **signed)
        case ReviewState.AMENDED:
            return _("Signed by %(name)s, %(time)s; changed since and not signed again.", **signed)


def opinion_sentences(opinion: Opinion) -> tuple[str, ...]:
    """What the reader says of the findings, without the note."""

    def names(verdict: Verdict) -> str:
        return ", ".join(finding_name(name) for name, own in opinion.verdicts.items() if own is verdict)

    said = []
    if agreed := names(Verdict.AGREE):
        said.append(_("Agrees: %(findings)s.", findings=agreed))
    if disagreed := names(Verdict.DISAGREE):
        said.append(_("Disagrees: %(findings)s.", findings=disagreed))
    if unsure := names(Verdict.UNSURE):
        said.append(_("Unsure: %(findings)s.", findings=unsure))
    if opinion.added:
        said.append(_("Also seen: %(findings)s.", findings=", ".join(map(finding_name, opinion.added))))
    return tuple(said)


def age_and_sex(row: WorklistRow | Instance) -> str:
    """For example '57 F'; '–' where neither is known."""
    age = "" if row.age_years is None else str(row.age_years)
    return f"{age} {row.sex or ''}".strip() or "–"


def nothing_above(row: WorklistRow) -> str:
    """What stands where no finding is above its operating point: that none is, or that it is not known."""
    if row.finished < row.total:
        return _("not known yet")
    read = row.total - row.refused - row.failed
    if read == 0:
        return _("nothing was read")
    if read < row.total:
        return _("none in the %(read)s of %(total)s images that were read", read=read, total=row.total)
    return _("none above its operating point")
