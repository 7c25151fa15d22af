"""The model facts page: every figure of the bundle, in words, charts and tables."""

import json
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from diagnosis_tool import resources
from diagnosis_tool.app import create_app
from diagnosis_tool.cxr.bundle import BUNDLE_FILE, DEFAULT_FILE, resolve_bundle
from diagnosis_tool.cxr.findings import NIH_FINDINGS
from diagnosis_tool.settings import Settings
from testing import accounts


def bundle_json() -> dict[str, Any]:
    """A release's, with a finding no better than a guess, and heatmaps that were not measured."""
    folder = resolve_bundle(resources.models_dir(), "resnet_50-nih14-1.2")
    data: dict[str, Any] = json.loads((folder / BUNDLE_FILE).read_text())
    for evaluation in data["evaluations"]:
        evaluation["localisation"] = None
        evaluation["auc"]["Mass"]["low"] = 0.49
    return {**data, "name": "net", "version": "2.0"}


def localisation() -> dict[str, Any]:
    worse = {"Mass": 0.2, "Effusion": 0.61}
    blind = {"Mass": 0.31, "Effusion": 0.4}
    shares = {"0.1": {"Mass": 0.5, "Effusion": 0.5}}
    return {
        "boxes": {"Mass": 45, "Effusion": 72}, "box_threshold": 0.5, "pointing": worse, "pointing_blind": blind,
        "iou": shares, "iou_blind": shares,
    }  # fmt: skip


def client_with(tmp_path: Path, data: dict[str, Any] | None, card: str | None = None) -> FlaskClient:
    models = tmp_path / "models"
    (models / "net-2.0").mkdir(parents=True)
    if data is not None:
        (models / "net-2.0" / BUNDLE_FILE).write_text(json.dumps(data))
        (models / DEFAULT_FILE).write_text("net-2.0")
    if card is not None:
        (models / "net-2.0" / "MODEL_CARD.md").write_text(card)
    client = create_app(Settings.from_env({"DATA_DIR": str(tmp_path), "MODELS_DIR": str(models)})).test_client()
    accounts.sign_in(client)
    return client


pytestmark = pytest.mark.usefixtures("context")  # there has to be a database


def test_limits_come_first_then_every_figure(tmp_path: Path) -> None:
    data = bundle_json()
    page = client_with(tmp_path, data).get("/models/default").text
    places = [page.index(f'id="{part}"') for part in ("limits", "worth", "probabilities", "heatmaps", "origin")]
    assert places == sorted(places)
    for limit in data["training"]["limits"]:
        assert limit in page.replace("&#39;", "'")
    test = next(e for e in data["evaluations"] if e["split"] == "test")
    for figure in (*test["auc"].values(), test["mean_auc"]):
        assert f"{figure['value']:.2f} ({figure['low']:.2f} to {figure['high']:.2f})" in page
    for point in data["operating_points"]:
        assert f"{point['threshold']:.2f}" in page
    assert f"{test['mean_ece']:.3f}" in page
    assert "no better than a guess at: Mass." in page  # its interval holds 0.5
    assert "not a medical device" in page


def test_a_chart_has_a_dot_where_the_figure_is(tmp_path: Path) -> None:
    data = bundle_json()
    page = client_with(tmp_path, data).get("/models/net-2.0").text
    test = next(e for e in data["evaluations"] if e["split"] == "test")
    for name in NIH_FINDINGS:
        assert f'cx="{150 + 330 * test["auc"][name]["value"]:.1f}"' in page
    assert page.count("<svg") == page.count("</table>") == 2  # a table beside each; heatmaps were not measured
    assert "Not measured in this release" in page


def test_pointing_stands_beside_the_guess(tmp_path: Path) -> None:
    data = bundle_json()
    data["evaluations"] = [{**e, "localisation": localisation()} for e in data["evaluations"]]
    page = client_with(tmp_path, data).get("/models/net-2.0").text
    assert page.count("<svg") == page.count("</table>") == 3
    assert "never looks at the image, at: Mass." in page
    for cell in ("45", "0.20", "0.31", "72", "0.61", "0.40"):
        assert f'<td class="number">{cell}</td>' in page


def test_a_model_that_was_never_measured_says_so(tmp_path: Path) -> None:
    data = {**bundle_json(), "evaluations": [], "operating_points": []}
    page = client_with(tmp_path, data).get("/models/net-2.0").text
    assert "Nothing was measured" in page
    assert "no better than a guess" not in page


def test_figures_of_tuning_images_are_called_flattering(tmp_path: Path) -> None:
    data = bundle_json()
    data["evaluations"] = [e for e in data["evaluations"] if e["split"] == "validation"]
    assert "the figures flatter" in " ".join(client_with(tmp_path, data).get("/models/net-2.0").text.split())


def test_in_german_the_bundles_own_sentences_are_marked_as_english(tmp_path: Path) -> None:
    page = client_with(tmp_path, bundle_json()).get("/models/default", headers={"Accept-Language": "de"}).text
    assert "Kardiomegalie" in page
    assert '<li lang="en">' in page


def test_the_card_is_there_as_text(tmp_path: Path) -> None:
    answer = client_with(tmp_path, bundle_json(), "# net\n").get("/models/net-2.0/MODEL_CARD.md")
    assert (answer.text, answer.mimetype) == ("# net\n", "text/plain")


def test_what_is_not_there_is_not_found(tmp_path: Path) -> None:
    client = client_with(tmp_path, bundle_json())
    for path in ("/models/other-1.0", "/models/net-2.0/MODEL_CARD.md", "/models/other-1.0/MODEL_CARD.md", "/models/.."):
        assert client.get(path).status_code == 404
    assert 'hreflang="en">The whole card' not in client.get("/models/net-2.0").text


def test_without_a_bundle_the_default_is_not_found(tmp_path: Path) -> None:
    assert client_with(tmp_path, None).get("/models/default").status_code == 404
