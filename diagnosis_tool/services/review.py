"""Reviewing: what a reader makes of a reading, and the sign-off. Each change is a revision of its own."""

from collections.abc import Collection

from diagnosis_tool.domain.access import User
from diagnosis_tool.domain.reviews import Opinion, Review, check
from diagnosis_tool.services import browse
from diagnosis_tool.services.context import Context


def get_review(context: Context, instance_uid: str) -> Review:
    """The newest revision with its history; revision 0 while there is none. Raises NotFound."""
    return context.reviews.get(instance_uid)


def save_review(context: Context, instance_uid: str, opinion: Opinion, *, based_on: int, user_id: int) -> Review:
    """Stores a new revision; based_on: the one that the reader saw.

    Raises:
        NotFound: no such image.
        Conflict: the image is not read. ReviewConflict: another revision is newer.
        RequestRefused: the opinion is about something that is not in the image's reading.
    """
    check(opinion, browse.get_instance(context, instance_uid))
    return context.reviews.save(instance_uid, opinion, based_on=based_on, user_id=user_id, row=context.row)


def sign_review(context: Context, instance_uid: str, *, based_on: int, user_id: int) -> Review:
    """Signs what stands there. Raises as save_review, and ReviewConflict when it is signed already."""
    return context.reviews.sign(instance_uid, based_on=based_on, user_id=user_id, row=context.row)


def list_readers(context: Context, projects: Collection[int]) -> tuple[User, ...]:
    """Whose studies and reviews there may be in these projects: all who belong to one of them."""
    return context.users.all(within=projects)
