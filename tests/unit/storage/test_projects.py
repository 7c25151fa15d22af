"""No store gives, changes or removes a study or an image without being told whose studies there are."""

import inspect
from collections.abc import Callable

import pytest

from diagnosis_tool.domain.access import Projects
from diagnosis_tool.services.context import Context
from diagnosis_tool.storage.jobs import JobStore
from diagnosis_tool.storage.predictions import PredictionStore
from diagnosis_tool.storage.reviews import ReviewStore
from diagnosis_tool.storage.studies import StudyStore
from diagnosis_tool.storage.worklist_pages import WorklistStore

FOR_NOBODY = {
    StudyStore.add: "says itself whose it is",
    StudyStore.bytes_of_user: "a number, over all of one's projects",
    StudyStore.drop_content: "a file that no study names",
    JobStore.claim: "the worker's",
    JobStore.give_back: "the worker's",
    JobStore.defer: "the worker's",
    JobStore.release_all: "the worker's",
    JobStore.refuse: "the worker's",
    JobStore.fail: "the worker's",
    JobStore.held: "the worker's",
    JobStore.close: "the worker's",
    JobStore.heartbeat: "the worker's",
    JobStore.workers: "no study's",
    PredictionStore.complete: "the worker's",
    PredictionStore.complete_known: "the worker's",
    PredictionStore.probabilities: "numbers for the metrics",
}
PUBLIC = [
    method
    for store in (StudyStore, ReviewStore, WorklistStore, JobStore, PredictionStore)
    for name, method in vars(store).items()
    if inspect.isfunction(method) and not name.startswith("_")
]


@pytest.mark.parametrize("method", PUBLIC, ids=lambda method: method.__qualname__)
def test_whose_studies_there_are_must_be_said(method: Callable[..., object]) -> None:
    parameters = inspect.signature(method).parameters
    assert ("projects" in parameters) == (method not in FOR_NOBODY)
    if "projects" in parameters:
        assert parameters["projects"].annotation is Projects
        others = {name: None for name, of in parameters.items() if of.default is of.empty and name != "projects"}
        with pytest.raises(TypeError, match=r"missing 1 required .* 'projects'"):
            method(**others)


def test_a_context_says_whose_studies_there_are() -> None:
    assert inspect.signature(Context).parameters["projects"].default is inspect.Parameter.empty
