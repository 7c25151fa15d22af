"""What a run leaves on disk: recipe.json, last.pt (to resume), best.safetensors, history.json,
validation.npz (what the best weights said). All written whole."""

import io
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import load_file, save

from diagnosis_tool.cxr.bundle import CONVERTER
from training.errors import TrainingFailed
from training.evaluate.predictions import Predictions, read_predictions, write_predictions
from training.files import write_whole
from training.recipes.config import Recipe
from training.recipes.load import recipe_to_json, stored_recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochRecord:
    """One line of the learning curve. auc has None for an output that validation cannot judge.

    images_per_s: of training steps alone. seconds: of the whole epoch with validation. answers: accuracy and F1 by
    their names in loop.select.
    """

    epoch: int
    step: int
    learning_rate: float
    train_loss: float
    validation_loss: float
    mean_auc: float | None
    auc: dict[str, float | None]
    images_per_s: float
    seconds: float
    answers: dict[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInfo:
    """What release needs to know of how a run began and which data it saw."""

    start_weights: str
    git_commit: str
    dataset: str
    train_images: tuple[str, ...]
    validation_images: tuple[str, ...]
    test_images: tuple[str, ...]
    train_patients: int
    validation_patients: int


class RunFolder:
    """The files of one run under `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.recipe_file: Final = path / "recipe.json"
        self.info_file: Final = path / "run.json"
        self.last_file: Final = path / "last.pt"
        self.best_file: Final = path / "best.safetensors"
        self.history_file: Final = path / "history.json"
        self.calibration_file: Final = path / "calibration.json"
        self.validation_file: Final = path / "validation.npz"

    def write_recipe(self, recipe: Recipe) -> None:
        """Saves the recipe with all defaults written out."""
        write_whole(self.recipe_file, recipe_to_json(recipe).encode())

    def recipe(self) -> Recipe:
        """The run's recipe. Raises TrainingFailed when there is no run here."""
        return stored_recipe(self._json(self.recipe_file), str(self.recipe_file))

    def write_info(self, info: RunInfo) -> None:
        """Saves where the run began and its split."""
        write_whole(self.info_file, (json.dumps(asdict(info)) + "\n").encode())

    def info(self) -> RunInfo:
        """Where the run began and its split."""
        return CONVERTER.structure(self._json(self.info_file), RunInfo)

    def write_history(self, history: list[EpochRecord]) -> None:
        """Saves the learning curve so far."""
        write_whole(self.history_file, (json.dumps([asdict(item) for item in history], indent=1) + "\n").encode())

    def history(self) -> list[EpochRecord]:
        """The learning curve so far, empty when no epoch has ended."""
        if not self.history_file.is_file():
            return []
        epochs = self._json(self.history_file)
        for epoch in epochs:
            epoch.pop("blending", None)  # a key of older runs
        return list(CONVERTER.structure(epochs, tuple[EpochRecord, ...]))

    def write_best(self, state: dict[str, torch.Tensor]) -> None:
        """Saves the weights that validated best."""
        write_whole(self.best_file, save({name: value.detach().cpu().contiguous() for name, value in state.items()}))

    def best(self) -> dict[str, torch.Tensor]:
        """The weights that validated best. Raises TrainingFailed when no epoch has ended yet."""
        if not self.best_file.is_file():
            raise TrainingFailed(f"{self.best_file} is not there: train at least one epoch first.")
        return load_file(self.best_file)

    def write_validation(self, predictions: Predictions) -> None:
        """Saves what the weights that validated best said about the validation images."""
        write_predictions(self.validation_file, predictions)

    def validation(self) -> Predictions | None:
        """What the best weights said about the validation images, None when the run did not keep it."""
        return read_predictions(self.validation_file) if self.validation_file.is_file() else None

    def write_last(self, checkpoint: dict[str, Any]) -> None:
        """Saves all that resuming needs."""
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        write_whole(self.last_file, buffer.getbuffer())

    def last(self) -> dict[str, Any] | None:
        """The checkpoint to resume from, None when there is none. Raises TrainingFailed when it is damaged."""
        if not self.last_file.is_file():
            return None
        try:
            loaded: dict[str, Any] = torch.load(self.last_file, map_location="cpu", weights_only=True)
        except Exception as error:  # torch raises nearly anything for a damaged file
            raise TrainingFailed(
                f"{self.last_file} cannot be read ({error}). Start the run in a new folder."
            ) from error
        return loaded

    def _json(self, file: Path) -> Any:
        try:
            return json.loads(file.read_text())
        except OSError as error:
            raise TrainingFailed(f"{file} cannot be read: {error.strerror}. Is this the folder of a run?") from error
        except ValueError as error:
            raise TrainingFailed(f"{file} is damaged: {error}.") from error
