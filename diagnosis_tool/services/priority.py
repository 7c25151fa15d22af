"""What somebody looks at is read first, what failed is read again when asked: the queue's order, nothing of a study."""

from contextlib import suppress
from typing import Final

from diagnosis_tool.domain.jobs import Priority
from diagnosis_tool.domain.studies import Instance, StudyProgress
from diagnosis_tool.errors import StorageFull
from diagnosis_tool.services import browse
from diagnosis_tool.services.context import Context

_AT_ONCE: Final = 4
"""A page that is open raises so many images at a time, so that a large study cannot crowd out another page's."""


def raise_priority_of_study(context: Context, study: StudyProgress) -> None:
    """The study's page is open: its next few unread images go before what nobody looks at."""
    if study.finished < study.total:
        with suppress(StorageFull):  # the page is shown all the same
            context.jobs.raise_priority_of_study(study.uid, Priority.ON_A_PAGE, _AT_ONCE)


def retry_instance(context: Context, uid: str) -> None:
    """Queues an image again whose reading failed. Raises NotFound, and Conflict when it did not fail."""
    context.jobs.retry(browse.get_instance(context, uid).uid, row=context.row)  # the queue knows no projects


def raise_priority_of_instance(context: Context, instance: Instance) -> None:
    """The image is open in the viewer: it goes before all others."""
    if not instance.state.is_final:
        with suppress(StorageFull):
            context.jobs.raise_priority(instance.uid, Priority.LOOKED_AT)
