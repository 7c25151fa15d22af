"""Studies and images for whoever asks; each is noted on the trail, so that the audit log says what was read."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from diagnosis_tool.domain.access import Projects
from diagnosis_tool.domain.studies import Instance, Study
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
    context.trail.missed.extend(set(uids) - there.keys())
    return [uid for uid in uids if uid in there]


def _found(context: Context, find: Callable[[str, Projects], _Found], uid: str) -> _Found:
    try:
        return find(uid, context.projects)
    except NotFound:
        context.trail.missed.append(uid)
        raise
