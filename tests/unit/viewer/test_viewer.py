"""What the viewer shows for an address, without a browser."""

import json
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from diagnosis_tool.cxr.bundle import Interval
from diagnosis_tool.domain.access import ALL_PROJECTS, PERMISSIONS, Role
from diagnosis_tool.services.context import Context
from diagnosis_tool.viewer import callbacks, ids, layout, links
from diagnosis_tool.viewer.facts import Place
from tests.conftest import phantom_png
from tests.dicom_files import FILM, dicom
from tests.fakes.classifier import FakeClassifier
from tests.predicting import predict_all
from tests.unit.viewer.looking import Study, content, facts_of, found, opened, row_of, text


def test_a_read_image_has_film_overlay_chart_and_top_four(context: Context, study: Study) -> None:
    first, second = study(phantom_png(1), phantom_png(2))
    children, is_final = content(context, f"?instance={second}")
    components = found(children)
    assert is_final
    parts = {ids.FACTS, ids.SELECTED, ids.VIEWPORT, ids.OPACITY, "save-heatmap", "film", "review"}
    assert parts <= set(components)
    facts = components[ids.FACTS].data
    assert len(facts["outputs"]) == 15
    assert set(facts["places"]) == {"anatomical", "probability"}
    assert components[ids.SELECTED].data == "Pneumothorax"
    shown = text(children)
    assert shown.count("Show the heatmap of") == 4
    assert "2 of 2" in shown
    assert links.viewer(first) in shown
    assert "fake-1" in shown
    assert "relative, this image only" in shown


@pytest.mark.parametrize(
    ("outputs", "maps", "selected"),
    [(("normal", "pneumonia", "COVID-19"), 2, "COVID-19"), (("Pneumonia",), 1, "Pneumonia")],
)
def test_a_bundle_of_three_outputs_or_of_one(
    context: Context, study: Study, outputs: tuple[str, ...], maps: int, selected: str
) -> None:
    (uid,) = study(phantom_png(1), outputs=outputs)
    children, is_final = content(context, f"?instance={uid}")
    components = found(children)
    assert is_final
    assert list(components[ids.FACTS].data["outputs"]) == list(outputs)
    assert components[ids.SELECTED].data == selected  # never "normal": it says that there is nothing to see
    assert text(children).count("Show the heatmap of") == maps


def test_the_address_may_name_a_finding(context: Context, study: Study) -> None:
    (uid,) = study(phantom_png(1))
    for wanted, selected in (("Mass", "Mass"), ("No Finding", "No Finding"), ("Gout", "Pneumothorax")):
        children, _ = content(context, f"?instance={uid}&finding={wanted}")
        assert found(children)[ids.SELECTED].data == selected


def test_below_its_operating_point_a_map_is_marked(context: Context, study: Study) -> None:
    (uid,) = study(phantom_png(1))
    facts = facts_of(context, uid)
    assert facts["outputs"]["Pneumothorax"]["below"] is False
    assert facts["outputs"]["Atelectasis"]["below"] is True
    assert "below the operating point 0.50" in facts["outputs"]["Atelectasis"]["caption"]


@pytest.mark.parametrize(
    ("data", "read", "words"), [(b"no image", True, "Refused: "), (b"x", False, "Waiting to be read")]
)
def test_an_image_without_a_prediction_has_words_and_no_chart(
    context: Context, study: Study, data: bytes, read: bool, words: str
) -> None:
    (uid,) = study(data, read=read)
    children, is_final = content(context, f"?instance={uid}")
    assert is_final is read
    assert "row-bar" not in text(children)
    assert words in text(children)


@pytest.mark.parametrize("search", [None, "", "?", "?instance=", "?instance=none", "?instance=../../etc", "?x=%ff"])
def test_an_address_that_leads_nowhere_has_words(context: Context, search: str | None) -> None:
    children, is_final = content(context, search)
    assert is_final
    assert "To the worklist" in text(children)


def test_thumbnails_keep_their_proportions(context: Context, study: Study) -> None:
    (uid,) = study(phantom_png(1))
    assert '"--ratio": "1.000000"' in text(opened(context, uid))


def test_each_row_says_probability_band_and_what_the_model_is_worth(context: Context, study: Study) -> None:
    (uid,) = study(phantom_png(1))
    instance = context.studies.instance(uid, ALL_PROJECTS)
    assert instance.prediction is not None
    mass = instance.prediction.output("Mass").probability
    place = Place(study=context.studies.study(instance.study_uid, ALL_PROJECTS), older=None, newer=None)
    shown = callbacks.shown_of(context, place, instance)
    assert shown is not None
    assert (shown.auc, shown.screening) == ({}, {})  # no bundle of that hash is here: nothing is made up
    plain_view = layout.prediction_view(shown, None, PERMISSIONS[Role.ADMIN])
    plain = text(plain_view)
    assert "AUC" not in plain
    assert "hatched" not in plain
    auc = Interval(value=0.834, low=0.8, high=0.868)
    rich = replace(shown, auc={"Mass": auc}, screening={"Mass": 0.1})
    view = layout.prediction_view(rich, None, PERMISSIONS[Role.ADMIN])
    assert "hatched: unsure" in text(view)
    row = row_of(view, "Mass")
    words = [span.children for span in row.children]
    assert words[2] == f"{mass:.2f}"
    assert words[3:] == ["◆ unsure", ".83 (.80–.87)"]
    assert "tier-unsure" in row.className
    bar = [(part.className, part.style) for part in row.children[1].children]
    assert bar == [
        ("value", {"width": f"{100 * mass:.4f}%"}),
        ("unsure", {"left": "10.0000%", "width": "40.0000%"}),
        ("tick", {"left": "50.0000%"}),
    ]
    plain_bar = row_of(plain_view, "Mass").children[1]
    assert [part.className for part in plain_bar.children] == ["value", "tick"]
    label = row.to_plotly_json()["props"]["aria-label"]
    assert all(part in label for part in ("Mass 0.", "below the operating point 0.50", "unsure", "AUC .83"))
    assert f"{mass:.4f}" in row.title
    assert "AUC 0.834 (95% interval 0.800 to 0.868)" in row.title


def test_next_and_previous_study(context: Context, study: Study) -> None:
    (first,), (second, third), (fourth,) = (
        study(phantom_png(1)),
        study(phantom_png(2), phantom_png(3)),
        study(phantom_png(4)),
    )
    moves = found(opened(context, third))
    assert moves["go-previous-study"].href == links.viewer(fourth)  # the worklist's order: the newest first
    assert moves["go-next-study"].href == links.viewer(first)
    assert moves["go-previous"].href == links.viewer(second)
    assert "go-next" not in moves
    assert "go-next-study" not in found(opened(context, first))


def test_earlier_images_of_the_patient_stand_beside(context: Context, study: Study) -> None:
    dates = ["20200101", "20230101", "20210101"]
    films = [dicom(FILM + np.uint8(k), PatientID="P", AcquisitionDate=day) for k, day in enumerate(dates)]
    oldest, newest, middle = study(*films)
    facts = facts_of(context, newest)
    assert [prior["uid"] for prior in facts["priors"]] == [middle, oldest]
    assert facts["priors"][0]["title"] == "2021-01-01 · PA"
    assert len(facts["trends"]["Mass"]["data"][0]["x"]) == 3
    first = facts_of(context, oldest)
    assert first["priors"] == []
    assert facts["near"] == [middle, oldest]


def test_sixty_priors(context: Context, study: Study) -> None:
    uids = study(*(dicom(FILM + np.uint8(k), PatientID="P", AcquisitionDate=f"{1960 + k}0101") for k in range(61)))
    children, _ = content(context, f"?instance={uids[-1]}")
    assert text(children).count("data-prior") == 60
    assert len(json.dumps(found(children)[ids.FACTS].data)) < 2_000_000


def test_an_image_one_pixel_wide_has_words(context: Context, study: Study) -> None:
    thin = BytesIO()
    Image.new("L", (1, 500)).save(thin, "PNG")
    (uid,) = study(thin.getvalue())
    shown = text(opened(context, uid))
    assert "1 x 500 pixels" in shown
    assert "data-finding" not in shown


def test_a_failed_image_can_be_tried_again(context: Context, study: Study) -> None:
    (uid,) = study(phantom_png(1), read=False)
    predict_all(context, FakeClassifier(error=RuntimeError("broken")))
    components = found(opened(context, uid))
    assert ids.RETRY in components
    assert components[ids.WAITING].data == {"uid": uid, "waits": False}


REVIEWING = ('"data-do": "save"', '"data-do": "sign"', "data-verdict-choice", "add-finding", "tool-box")


def test_each_role_is_offered_what_it_may_do(context: Context, study: Study) -> None:
    (read,) = study(phantom_png(1))
    (failed,) = study(phantom_png(2), read=False)
    predict_all(context, FakeClassifier(error=RuntimeError("broken")))
    for role, reviews, exports, uploads in (
        (Role.VIEWER, False, False, False),
        (Role.TECHNICIAN, False, False, True),
        (Role.RADIOLOGIST, True, True, True),
    ):
        children = opened(context, read, role)
        shown, components = text(children), found(children)
        assert [part in shown for part in REVIEWING] == [reviews] * len(REVIEWING)
        assert (links.original(read) in shown) is exports
        assert links.report(read) in shown
        assert {"review", "review-state", "review-items", "review-words", "history", "note"} <= set(components)
        assert bool(getattr(components["note"], "readOnly", False)) is not reviews
        assert ("data-read-only" in components["review"].to_plotly_json()["props"]) is not reviews
        children = opened(context, failed, role)
        assert (ids.RETRY in found(children)) is uploads
        assert (links.original(failed) in text(children)) is exports


def test_the_frame_says_that_it_is_for_research() -> None:
    assert "Research use only, not a medical device." in text([layout.page([])])


def test_looking_changes_nothing_on_the_server(context: Context, study: Study) -> None:
    uids = study(*(phantom_png(seed) for seed in range(6)), read=False)
    children, _ = content(context, f"?instance={uids[4]}")
    assert found(children)[ids.WAITING].data == {"uid": uids[4], "waits": True}  # the page itself asks for it
    assert [job.instance_uid for job in context.jobs.claim("w", 1)] == [uids[0]]
