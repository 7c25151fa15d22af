"""Where heatmaps point on RSNA's boxes: on NIH films that may train, of patients whose boxes never supervise.

NIH's own boxes all lie in its test list and are for the report alone.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from diagnosis_tool.cxr.bundle import BUNDLE_FILE, Output, open_bundle
from diagnosis_tool.cxr.engines import TorchEngine
from diagnosis_tool.cxr.gradcam import raw_maps
from diagnosis_tool.cxr.network import ChestNetwork
from diagnosis_tool.cxr.preprocess import PreprocessSpec, preprocess
from diagnosis_tool.cxr.weights import load_network
from diagnosis_tool.errors import UnreadableInput, UnsupportedImage
from training.datasets import read_dataset
from training.datasets.base import AnnotatedBox, Record, read_radiograph
from training.datasets.nih import OUTPUTS as NIH_OUTPUTS
from training.evaluate.localise import OVERLAPS, Found, Located, blind, find
from training.evaluate.metrics import markdown_table
from training.prepare.boxes import OPACITIES, opacity_boxes, supervises
from training.release.write_bundle import released_network
from training.train.run_folder import RunFolder


def pointing_table(path: Path, rsna: Path, nih_folder: Path) -> str:
    """Markdown: pointing (a film counts when its map's maximum lies in any of its boxes) and, by T, the share of boxes
    whose IoU is T or more; means over OPACITIES, beside a prior that never looks at the image.

    path: a bundle's folder, or a run's. Raises DatasetInvalid when there are no boxes.
    """
    network, spec, outputs, box_threshold = _explained(path)
    nih = read_dataset("nih", nih_folder)
    boxes = {r: film for r, film in opacity_boxes(rsna, nih).items() if not supervises(r.patient)}
    engine, columns = TorchEngine(network), [k for k, o in enumerate(outputs) if o.name in OPACITIES]
    read: list[Record] = []
    found: list[list[Found]] = []  # of each film and output, by box
    for record, film in tqdm(boxes.items(), unit="image", desc="maps"):
        try:
            x_HW = preprocess(read_radiograph(record.path), spec)
        except (UnreadableInput, UnsupportedImage):
            continue
        maps = np.maximum(raw_maps(network.head, engine.run(x_HW[None])[1][0], len(outputs)), 0)
        found += [[find(maps[k], box, box_threshold) for box in film] for k in columns]
        read.append(record)
    rows = {
        "location prior that never looks at the image": _prior([(r, boxes[r]) for r in read], box_threshold),
        "gradcam": found,
    }
    head = ["maps", "pointing", *(f"IoU >= {t}" for t in OVERLAPS)]
    table = markdown_table(head, ([name, *(f"{s:.3f}" for s in _shares(films))] for name, films in rows.items()))
    title = f"{path.name}: {len(read)} films, {sum(len(boxes[r]) for r in read)} boxes, regions above "
    return f"{title}{box_threshold:g}\n\n{table}"


def _explained(path: Path) -> tuple[ChestNetwork, PreprocessSpec, tuple[Output, ...], float]:
    """A network as it is or will be released, its input and outputs, and the part of a map's maximum for regions."""
    if (path / BUNDLE_FILE).is_file():
        bundle = open_bundle(path)
        metadata = bundle.metadata
        return load_network(bundle), metadata.preprocess, metadata.outputs, metadata.explanation.box_threshold
    run = RunFolder(path)
    recipe, network = run.recipe(), released_network(run, len(NIH_OUTPUTS))
    return network, recipe.preprocess, NIH_OUTPUTS, recipe.explanation.box_threshold


def _prior(films: Sequence[tuple[Record, tuple[AnnotatedBox, ...]]], box_threshold: float) -> list[list[Found]]:
    located = [
        Located(box=box, patient=record.patient, found=Found(pointed=False, overlap=0.0))
        for record, film in films
        for box in film
    ]
    answers = {id(one.box): one.found for one in blind(located, box_threshold)}
    return [[answers[id(box)] for box in film] for _, film in films]


def _shares(films: Sequence[Sequence[Found]]) -> list[float]:
    """Pointing by film, then by T the share of boxes."""
    overlaps = [found.overlap for film in films for found in film]
    pointing = np.mean([any(found.pointed for found in film) for film in films])
    return [float(pointing), *(float(np.mean([overlap >= t for overlap in overlaps])) for t in OVERLAPS)]
