"""Reviewing: what a reader says of a prediction, checked against it. Each change is a revision of its own."""

from diagnosis_tool.domain.reviews import Opinion, Review, check
from diagnosis_tool.services import browse
from diagnosis_tool.services.context import Context


def save_review(context: Context, instance_uid: str, opinion: Opinion, *, based_on: int, user_id: int) -> Review:
    """Stores a new revision; based_on: the one that the reader saw.

    Raises:
        NotFound: no such image.
        Conflict: the image is not read. ReviewConflict: another revision is newer.
        RequestRefused: the opinion is about something that the model predicts nothing of.
    """
    check(opinion, browse.get_instance(context, instance_uid))
    return context.reviews.save(
        instance_uid, opinion, context.projects, based_on=based_on, user_id=user_id, row=context.row
    )
