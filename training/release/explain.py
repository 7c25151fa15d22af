"""Measures explanations on boxes of training films, and makes the explanation of a bundle.

RSNA's boxes lie on NIH films, and most of those films are in NIH's train_val list: there explanations are chosen, on
boxes of patients whose boxes never teach (training.prepare.boxes). NIH's own boxes all lie in its test list and are
for the report alone.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from diagnosis_tool.cxr.bundle import BUNDLE_FILE, Output, open_bundle
from diagnosis_tool.cxr.engines import TorchEngine
from diagnosis_tool.cxr.explanation import Explanation, ExplanationSpec, refined
from diagnosis_tool.cxr.gradcam import raw_maps
from diagnosis_tool.cxr.network import ChestNetwork
from diagnosis_tool.cxr.preprocess import PreprocessSpec, preprocess
from diagnosis_tool.cxr.weights import load_network
from diagnosis_tool.errors import UnreadableInput, UnsupportedImage
from training.datasets import read_dataset
from training.datasets.base import AnnotatedBox, Dataset, Record, read_radiograph
from training.datasets.leakage import trainable
from training.datasets.nih import OUTPUTS as NIH_OUTPUTS
from training.errors import DatasetInvalid
from training.evaluate.localise import OVERLAPS, Found, Located, blind, find
from training.prepare.boxes import OPACITIES, opacity_boxes, supervises
from training.recipes.config import ExplanationConfig
from training.release.write_bundle import released_network
from training.train.run_folder import RunFolder

_UNUSED_THRESHOLD: Final = 0.5
_THRESHOLDS: Final = (0.3, 0.4, 0.5, 0.6, 0.7)

Maps = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A network as it is or will be released, with what its input must be."""

    network: ChestNetwork
    preprocess: PreprocessSpec
    outputs: tuple[Output, ...]

    def maps(self, records: Iterable[Record], methods: Sequence[Explanation]) -> Iterator[tuple[Record, list[Maps]]]:
        """Signed raw maps (outputs, h, w) of each method, for each image that can be read; one forward pass each."""
        engine = TorchEngine(self.network)
        for record in tqdm(records, unit="image", desc="maps"):
            try:
                x_HW = preprocess(read_radiograph(record.path), self.preprocess)
            except (UnreadableInput, UnsupportedImage):
                continue
            _, features_BChw = engine.run(x_HW[None])
            count = len(self.outputs)
            yield record, [raw_maps(self.network.head, features_BChw[0], count, method) for method in methods]


def explanation_of(run: RunFolder, config: ExplanationConfig, dataset: Dataset) -> ExplanationSpec:
    """What a bundle of this run says of its heatmaps; mean maps over the run's own training images."""
    model = Model(
        network=released_network(run, len(dataset.outputs)),
        preprocess=run.recipe().preprocess,
        outputs=dataset.outputs,
    )
    known = {record.image: record for record in dataset.records}
    records = [known[image] for image in run.info().train_images if image in known]
    mean_maps: tuple[tuple[tuple[float, ...], ...], ...] = ()
    if config.mean_images:
        mean_maps = as_values(mean_map(model, evenly(records, config.mean_images), config.method))
    return ExplanationSpec(
        method=config.method,
        mean_maps=mean_maps,
        opposite=config.opposite,
        smoothing_cells=config.smoothing_cells,
        box_threshold=config.box_threshold,
    )


def evenly(records: Sequence[Record], count: int) -> list[Record]:
    """`count` of the records, or all, at equal distances."""
    if len(records) <= count:
        return list(records)
    return [records[int(i * len(records) / count)] for i in range(count)]


def mean_map(model: Model, records: Sequence[Record], method: Explanation) -> Maps:
    """(outputs, h, w): the raw map of the average image. Raises DatasetInvalid when none can be read."""
    maps = [each[0] for _, each in model.maps(records, [method])]
    if not maps:
        raise DatasetInvalid("No training image is there to take mean maps over: name the data that the run saw.")
    return np.asarray(np.mean(maps, axis=0, dtype=np.float64), dtype=np.float32)


def as_values(maps_Khw: Maps) -> tuple[tuple[tuple[float, ...], ...], ...]:
    """Maps as bundle.json holds them, to four decimals of a logit."""
    return tuple(tuple(tuple(round(float(v), 4) for v in row) for row in map_hw) for map_hw in maps_Khw)


def load_model(path: Path) -> Model:
    """The network of a bundle folder or of a run."""
    if (path / BUNDLE_FILE).is_file():
        bundle = open_bundle(path)
        metadata = bundle.metadata
        return Model(network=load_network(bundle), preprocess=metadata.preprocess, outputs=metadata.outputs)
    run = RunFolder(path)
    recipe = run.recipe()
    return Model(network=released_network(run, len(NIH_OUTPUTS)), preprocess=recipe.preprocess, outputs=NIH_OUTPUTS)


def candidates(mean_maps: Mapping[Explanation, Maps]) -> dict[str, ExplanationSpec]:
    """What is compared, by a name for the table."""
    specs = {}
    for method in Explanation:
        plain = ExplanationSpec(
            method=method, mean_maps=(), opposite=0.0, smoothing_cells=0.0, box_threshold=_UNUSED_THRESHOLD
        )
        for relative in (False, True):
            start = replace(plain, mean_maps=as_values(mean_maps[method])) if relative else plain
            for opposite in (0.0, 0.25, 0.5, 0.75):
                for smoothing in (0.0, 0.7, 1.0):
                    name = f"{method}{', less mean' if relative else ''}, opposite {opposite:g}, smooth {smoothing:g}"
                    specs[name] = replace(start, opposite=opposite, smoothing_cells=smoothing)
    return specs


def table(path: Path, rsna: Path, nih_folder: Path, *, mean_images: int) -> str:
    """The candidates' figures on RSNA's boxes that never teach, Markdown: pointing (a film counts when its maximum lies
    in any of its boxes) and, by T, the share of boxes found at the best single threshold; means over OPACITIES.
    """
    model, nih = load_model(path), read_dataset("nih", nih_folder)
    all_boxes = opacity_boxes(rsna, nih)
    boxes = {record: film for record, film in all_boxes.items() if not supervises(record.patient)}
    methods = list(Explanation)
    others = evenly([record for record in trainable(nih) if record not in all_boxes], mean_images)
    summed = [each for _, each in model.maps(others, methods)]
    means = {method: np.mean([each[m] for each in summed], axis=0) for m, method in enumerate(methods)}
    read = list(model.maps(boxes, methods))
    columns = [k for k, output in enumerate(model.outputs) if output.name in OPACITIES]
    lines = [_prior([(record, boxes[record]) for record, _ in read])]
    for name, spec in candidates(means).items():
        m = methods.index(spec.method)
        maps = [(refined(each[m], spec)[columns], boxes[record]) for record, each in read]
        lines.append(_line(name, *_figures(maps)))
    head = "| explanation | pointing | region above |" + "".join(f" IoU >= {t} |" for t in OVERLAPS)
    rule = "|---|---|---|" + "---|" * len(OVERLAPS)
    title = f"{path.name}: {len(read)} films, {sum(len(b) for b in boxes.values())} boxes"
    return "\n".join([title, "", head, rule, *lines])


def _figures(maps: Sequence[tuple[Maps, tuple[AnnotatedBox, ...]]]) -> tuple[float, float, list[float]]:
    """Pointing by film, the best region threshold, and the boxes' shares at it."""
    best: tuple[float, list[float]] = (_THRESHOLDS[0], [-1.0])
    pointing = 0.0
    for threshold in _THRESHOLDS:
        by_film = [[[find(m, box, threshold) for box in film] for m in each] for each, film in maps]
        pointing, shares = _shares([found for each in by_film for found in each])
        if sum(shares) > sum(best[1]):
            best = (threshold, shares)
    return pointing, *best


def _shares(films: Sequence[Sequence[Found]]) -> tuple[float, list[float]]:
    overlaps = [found.overlap for film in films for found in film]
    pointing = float(np.mean([any(found.pointed for found in film) for film in films]))
    return pointing, [float(np.mean([overlap >= t for overlap in overlaps])) for t in OVERLAPS]


def _prior(films: Sequence[tuple[Record, tuple[AnnotatedBox, ...]]]) -> str:
    located = [
        Located(box=box, patient=record.patient, found=Found(pointed=False, overlap=0.0))
        for record, film in films
        for box in film
    ]
    answers = {id(one.box): one.found for one in blind(located, _UNUSED_THRESHOLD)}
    pointing, shares = _shares([[answers[id(box)] for box in film] for _, film in films])
    return _line("location prior that never looks at the image", pointing, _UNUSED_THRESHOLD, shares)


def _line(name: str, pointing: float, threshold: float, shares: Sequence[float]) -> str:
    return f"| {name} | {pointing:.3f} | {threshold:g} |" + "".join(f" {share:.3f} |" for share in shares)
