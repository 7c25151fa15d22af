"""The model facts page: what a released model is worth, its training data's limits first."""

from typing import Final

from flask import Blueprint, Response, render_template

from diagnosis_tool.domain import model_facts
from diagnosis_tool.errors import NotFound
from diagnosis_tool.services.bundles import KnownBundle
from diagnosis_tool.web.current import current_context

blueprint = Blueprint("models", __name__, url_prefix="/models")

DEFAULT: Final = "default"
_CARD: Final = "MODEL_CARD.md"


@blueprint.get("/<name>")
def show(name: str) -> str:
    """The facts of a bundle by its name and version, or of the one that is in use ('default')."""
    bundle = _bundle(name)
    return render_template(
        "model.html", bundle=bundle, metadata=bundle.metadata, facts=model_facts, name=_full_name(bundle),
        outputs=model_facts.output_facts(bundle.metadata), has_card=(bundle.path / _CARD).is_file(),
    )  # fmt: skip


@blueprint.get(f"/<name>/{_CARD}")
def card(name: str) -> Response:
    """The card as it was released, plain text."""
    file = _bundle(name).path / _CARD
    if not file.is_file():
        raise NotFound("This model came without a card.")
    return Response(file.read_bytes(), mimetype="text/plain")


def _bundle(name: str) -> KnownBundle:
    catalogue = current_context().bundles
    if name == DEFAULT and catalogue.current is not None:
        return catalogue.current
    for bundle in catalogue.known:
        if _full_name(bundle) == name:
            return bundle
    raise NotFound("There is no such model here. It may have been removed; go back to the worklist.")


def _full_name(bundle: KnownBundle) -> str:
    return f"{bundle.metadata.name}-{bundle.metadata.version}"
