"""What is known of the released models that read the stored images. Torch-free: weights are not touched."""

import hashlib
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from diagnosis_tool.cxr.bundle import BUNDLE_FILE, BundleMetadata, Interval, parse_metadata, resolve_bundle
from diagnosis_tool.errors import BundleInvalid

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownBundle:
    """A bundle folder, what its bundle.json says, and that file's sha256, which is what predictions name."""

    path: Path
    metadata: BundleMetadata
    sha256: str


@dataclass(frozen=True, slots=True)
class BundleCatalogue:
    """The bundles found at start-up, by their sha256. current: what new images are read with, None if not found."""

    known: tuple[KnownBundle, ...] = ()
    current: KnownBundle | None = None

    def of(self, sha256: str) -> BundleMetadata | None:
        """The metadata of the bundle with this sha256; None for one that is no longer here."""
        for bundle in self.known:
            if bundle.sha256 == sha256:
                return bundle.metadata
        return None


def find_bundles(models_dir: Path, bundle: str) -> BundleCatalogue:
    """All bundles in models_dir, and the one that is in use wherever it lies.

    What cannot be read is left out and logged: the worker says what is wrong with the one it needs.
    """
    current = None
    try:
        current = _read(resolve_bundle(models_dir, bundle))
    except BundleInvalid as error:
        _log.warning("the bundle in use is not known to the web process: %s", error)
    others = _read_all(sorted(file.parent for file in models_dir.glob(f"*/{BUNDLE_FILE}")))
    known = {b.sha256: b for b in (*((current,) if current else ()), *others)}
    return BundleCatalogue(known=tuple(known.values()), current=current)


def _read_all(folders: Iterable[Path]) -> Iterable[KnownBundle]:
    for folder in folders:
        try:
            yield _read(folder)
        except BundleInvalid as error:
            _log.warning("a bundle is left out: %s", error)


def _read(folder: Path) -> KnownBundle:
    try:
        raw = (folder / BUNDLE_FILE).read_bytes()
    except OSError as error:
        raise BundleInvalid(f"{folder / BUNDLE_FILE} cannot be read: {error.strerror}.") from error
    return KnownBundle(path=folder, metadata=parse_metadata(raw), sha256=hashlib.sha256(raw).hexdigest())


def auc_of(metadata: BundleMetadata, output: str) -> Interval | None:
    """What the model is worth on this output: its AUC on the test images, else on others; None where not measured."""
    for evaluation in sorted(metadata.evaluations, key=lambda e: e.split != "test"):
        if (auc := evaluation.auc.get(output)) is not None:
            return auc
    return None


def aucs(metadata: BundleMetadata) -> dict[str, Interval]:
    """By output, as auc_of gives it, for those that have one."""
    return {output.name: auc for output in metadata.outputs if (auc := auc_of(metadata, output.name)) is not None}


def screening_thresholds(metadata: BundleMetadata) -> dict[str, float]:
    """By output: the operating point that keeps nine of ten positives (sensitivity_90), where there is one."""
    return {p.output: p.threshold for p in metadata.operating_points if p.criterion == "sensitivity_90"}
