"""RSNA's label files for made films: the same box on each."""

from collections.abc import Sequence
from pathlib import Path


def write_rsna_labels(folder: Path, films: Sequence[str], target: int = 1) -> Path:
    """One box on each film, from (0.1, 0.2), 0.5 wide and 0.25 high in parts of the sides."""
    folder.mkdir()
    numbered = list(enumerate(films))
    sources = "".join(f"p{n},{film}\n" for n, film in numbered)
    (folder / "nih_source.csv").write_text("patientId,nih_image_index\n" + sources)
    labels = "".join(f"p{n},102.4,204.8,512,256,{target}\n" for n, _ in numbered)
    (folder / "stage_2_train_labels.csv").write_text("patientId,x,y,width,height,Target\n" + labels)
    return folder
