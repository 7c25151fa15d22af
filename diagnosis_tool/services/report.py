"""One image's report: a page of A4 with radiograph, all probabilities, heatmaps of what is above its operating point.

The same image, prediction and language give the same bytes: the only time on it is that of the prediction.
"""

from io import BytesIO

import numpy as np
from PIL import Image

from diagnosis_tool.cxr import heatmap
from diagnosis_tool.cxr.findings import OutputKind
from diagnosis_tool.cxr.types import PredictedOutput, Prediction
from diagnosis_tool.domain.bars import bars
from diagnosis_tool.errors import NotFound
from diagnosis_tool.services import browse, pictures
from diagnosis_tool.services.context import Context
from diagnosis_tool.services.report_page import ImageReport, draw

_FILM_PX = 1000
_MAP_PX = 420


def report_pdf(context: Context, instance_uid: str) -> bytes:
    """The report as a PDF, in the language in use. Raises NotFound while the image is not read."""
    return draw(gather(context, instance_uid))


def gather(context: Context, instance_uid: str) -> ImageReport:
    """What stands on the report. Raises NotFound while the image is not read."""
    instance = browse.get_instance(context, instance_uid)
    prediction = instance.prediction
    if prediction is None or instance.predicted_at is None:
        raise NotFound("This image has no report: it is not read (yet), or could not be.")
    film = Image.open(BytesIO(pictures.radiograph_png(context, instance)))
    film.thumbnail((_FILM_PX, _FILM_PX), Image.Resampling.BILINEAR)
    return ImageReport(
        study=browse.get_study(context, instance.study_uid),
        instance=instance,
        prediction=prediction,
        predicted_at=instance.predicted_at,
        bars=bars(prediction),
        film=film,
        maps=_maps(film, prediction),
        review=context.reviews.get(instance_uid, context.projects),
        metadata=context.bundles.of(prediction.identity.bundle_sha256),
    )


def _maps(film: Image.Image, prediction: Prediction) -> tuple[tuple[PredictedOutput, Image.Image], ...]:
    small = film.copy()
    small.thumbnail((_MAP_PX, _MAP_PX), Image.Resampling.BILINEAR)
    pixels_HW = np.asarray(small)
    above = [o for o in prediction.outputs if o.kind is OutputKind.FINDING and o.is_above_threshold]
    above.sort(key=lambda o: -o.probability)
    return tuple((output, heatmap.blend(pixels_HW, output.heatmap)) for output in above)
