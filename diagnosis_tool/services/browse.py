"""Studies and images for whoever asks; each is noted on the trail, so that the audit log says what was read."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from diagnosis_tool.domain.access import Projects
from diagnosis_tool.domain.studies import ImageName, Instance, Study, StudyProgress
from diagnosis_tool.domain.worklist import WorklistPage, WorklistQuery, WorklistRow
from diagnosis_tool.errors import NotFound
from diagnosis_tool.services.context import Context

_Found = TypeVar("_Found")


def get_study(context: Context, uid: str) -> Study:
    """The study with its instances and predictions. Raises NotFound."""
    study = _found(context, context.studies.study, uid)
    context.trail.seen.setdefault(study.uid)
    return study


def get_instance(context: Context, uid: str) -> Instance:
    """One instance with its prediction, if it has one. Raises NotFound."""
    instance = _found(context, context.studies.instance, uid)
    context.trail.seen.setdefault(instance.study_uid, instance.uid)
    return instance


def get_name(context: Context, uid: str) -> ImageName:
    """What the instance is called, for what needs no prediction. Raises NotFound."""
    name = _found(context, context.studies.name_of, uid)
    context.trail.seen.setdefault(name.study_uid, name.uid)
    return name


def get_progress(context: Context, uid: str) -> StudyProgress:
    """How far the study is. Raises NotFound."""
    progress = _found(context, context.studies.progress, uid)
    context.trail.seen.setdefault(progress.uid)
    return progress


def priors(context: Context, instance_uid: str) -> tuple[Instance, ...]:
    """All images of the instance's patient, oldest first, with their predictions, itself among them. Raises NotFound.

    Itself alone where no patient is known. Of very many the latest.
    """
    instances = _found(context, context.studies.of_patient, instance_uid)
    for instance in instances:
        context.trail.seen.setdefault(instance.study_uid, instance.uid)
    return instances


def get_chosen(context: Context, uids: Sequence[str]) -> list[str]:
    """Those of the studies that there are."""
    there = context.worklist.versions(uids, context.projects)
    context.trail.seen.update(dict.fromkeys(there))
    context.trail.missed.extend(uid for uid in dict.fromkeys(uids) if uid not in there)
    return [uid for uid in dict.fromkeys(uids) if uid in there]


def worklist_page(context: Context, query: WorklistQuery, *, limit: int) -> WorklistPage:
    """A page of the worklist."""
    page = context.worklist.page(query, context.projects, limit=limit)
    context.trail.seen.update((row.uid, None) for row in page.rows)
    return page


def worklist_rows(context: Context, uids: Sequence[str], finding: str | None = None) -> tuple[WorklistRow, ...]:
    """The worklist's rows of these studies, as far as there are such; strongest: this finding, if given."""
    rows = context.worklist.rows(uids, context.projects, finding)
    there = {row.uid for row in rows}
    context.trail.seen.update((row.uid, None) for row in rows)
    context.trail.missed.extend(uid for uid in uids if uid not in there)
    return rows


def _found(context: Context, find: Callable[[str, Projects], _Found], uid: str) -> _Found:
    try:
        return find(uid, context.projects)
    except NotFound:
        context.trail.missed.append(uid)
        raise
