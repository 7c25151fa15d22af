"""Where heatmaps point, on boxes of the patients whose boxes never supervise."""

from pathlib import Path

import numpy as np
import pytest

from testing.bundles import write_bundle
from tests.rsna_labels import write_rsna_labels
from training.datasets import read_dataset
from training.datasets.base import Split
from training.prepare.boxes import supervises
from training.release import pointing


@pytest.mark.parametrize(("column", "hit"), [(1, "1.000"), (3, "0.000")])
def test_the_share_of_films_whose_maximum_lies_in_a_box(
    nih_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, column: int, hit: str
) -> None:
    nih = read_dataset("nih", nih_folder)
    judged = [record for record in nih.of(Split.TRAIN_VAL) if not supervises(record.patient)]
    rsna = write_rsna_labels(tmp_path / "rsna", [record.image for record in nih.records])
    maps = np.zeros((15, 4, 4), np.float32)
    maps[:, 1, column] = 1.0  # the box ends in the middle of the fourth column's left neighbour
    monkeypatch.setattr(pointing, "raw_maps", lambda *_: maps)
    table = pointing.pointing_table(write_bundle(tmp_path / "bundle"), rsna, nih_folder).splitlines()
    assert table[0] == f"bundle: {len(judged)} films, {len(judged)} boxes, regions above 0.5"
    assert table[4].startswith("| location prior that never looks at the image | 1.000 |")
    assert table[5].startswith(f"| gradcam | {hit} |")
