"""Two at the very same moment."""

import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from diagnosis_tool.domain.access import ALL_PROJECTS
from diagnosis_tool.domain.reviews import Opinion, ReviewConflict
from diagnosis_tool.errors import Conflict
from diagnosis_tool.services.browse import get_study
from diagnosis_tool.services.check import check_store
from diagnosis_tool.services.review import save_review
from testing.stores import open_store
from tests.fakes.classifier import FakeClassifier
from tests.predicting import predict_all
from tests.stores import film, send


def together(*calls: Callable[[], object]) -> list[object]:
    """What each returned, or the Conflict that it raised, begun at one moment."""
    start, outcomes = threading.Barrier(len(calls)), list[object]([None] * len(calls))

    def body(place: int) -> None:
        start.wait(20)
        try:
            outcomes[place] = calls[place]()
        except Conflict as conflict:
            outcomes[place] = conflict

    threads = [threading.Thread(target=body, args=(place,)) for place in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    return outcomes


def test_of_two_who_save_the_same_review_one_wins(tmp_path: Path) -> None:
    context = open_store(tmp_path)
    uid = get_study(context, send(context, film(1))).instances[0].uid
    predict_all(context, FakeClassifier())
    for revision in range(8):
        outcomes = together(
            *(
                lambda word=word, revision=revision: save_review(
                    context, uid, Opinion(note=word), based_on=revision, user_id=1
                )
                for word in ("one", "two")
            )
        )
        (lost,) = [
            word for word, outcome in zip(("one", "two"), outcomes, strict=True) if outcome.__class__ is ReviewConflict
        ]
        review = context.reviews.get(uid, ALL_PROJECTS)
        assert (review.revision, review.opinion.note) == (revision + 1, "two" if lost == "one" else "one")


def test_an_upload_of_what_is_being_deleted_is_whole_or_refused(tmp_path: Path) -> None:
    context = open_store(tmp_path)
    first = send(context, film(1), film(2))
    for _ in range(8):
        outcome, _ = together(
            lambda: send(context, film(1), film(2)), lambda gone=first: context.studies.delete([gone], ALL_PROJECTS)
        )
        with suppress(StopIteration):
            first = next(iter(context.inventory.study_uids()))
        if isinstance(outcome, Conflict):
            assert "being deleted at this moment" in str(outcome)
            first = send(context, film(1), film(2))
        report = check_store(context, in_flight_s=0)
        assert (report.faults, report.studies) == ((), 1)
