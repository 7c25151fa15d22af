"""Reviewing: what a reader makes of a reading, and the sign-off. Each change is a revision of its own."""

from diagnosis_tool.domain.reviews import Opinion, Review, check
from diagnosis_tool.errors import RequestRefused
from diagnosis_tool.services.context import Context
from diagnosis_tool.services.submit import clean_text
from diagnosis_tool.storage.users import User

MAX_READER_NAME = 100


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
    check(opinion, context.studies.instance(instance_uid))
    return context.reviews.save(instance_uid, opinion, based_on=based_on, user_id=user_id)


def sign_review(context: Context, instance_uid: str, *, based_on: int, user_id: int) -> Review:
    """Signs what stands there. Raises as save_review, and ReviewConflict when it is signed already."""
    return context.reviews.sign(instance_uid, based_on=based_on, user_id=user_id)


def list_readers(context: Context) -> tuple[User, ...]:
    """Who may be chosen."""
    return context.users.all()


def choose_reader(context: Context, user_id: int) -> User:
    """The reader of this id. Raises NotFound."""
    return context.users.get(user_id)


def add_reader(context: Context, name: str) -> User:
    """The reader of this name, a new one unless there is one. Raises RequestRefused for an empty or too long name."""
    shown = " ".join(clean_text(name).split())
    if not shown:
        raise RequestRefused("The reader's name is empty. Write a name.")
    if len(shown) > MAX_READER_NAME:
        raise RequestRefused(
            "The name has %(n)s letters; at most %(most)s fit. Shorten it.", n=len(shown), most=MAX_READER_NAME
        )
    return context.users.add(shown)
