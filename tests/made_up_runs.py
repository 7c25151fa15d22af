"""Runs and evaluations that nobody trained: scores are labels with noise, for tests of reports."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from diagnosis_tool.cxr.bundle import Output
from diagnosis_tool.cxr.calibration import Activation
from diagnosis_tool.cxr.findings import NIH_OUTPUTS, NO_FINDING, OutputKind
from tests.recipes import tiny_recipe
from training.evaluate.evaluation import evaluation_json, judge
from training.evaluate.metrics import auc, mean_defined, per_output
from training.evaluate.predictions import Predictions, write_predictions
from training.train.run_folder import EpochRecord, RunFolder


def outputs_named(*names: str) -> tuple[Output, ...]:
    absences = {NO_FINDING, "normal"}
    return tuple(
        Output(name=name, kind=OutputKind.ABSENCE if name in absences else OutputKind.FINDING) for name in names
    )


NIH = outputs_named(*NIH_OUTPUTS)
PNEUMONIA = outputs_named("Pneumonia")
THREE = outputs_named("normal", "pneumonia", "COVID-19")
SIGMOID, SOFTMAX = Activation.SIGMOID, Activation.SOFTMAX


def made_up(
    outputs: tuple[Output, ...] = NIH,
    activation: Activation = SIGMOID,
    *,
    seed: int = 0,
    count: int = 300,
    skill: float = 1.0,
    share: float = 0.12,
    dataset: str = "nih",
    split: str = "validation",
) -> Predictions:
    """Logits for films of patients with two films each. Hernia has no positive."""
    rng = np.random.default_rng(seed)
    if activation is SOFTMAX:
        labels = np.eye(len(outputs), dtype=np.uint8)[rng.integers(0, len(outputs), count)]
    else:
        labels = (rng.random((count, len(outputs))) < share * np.linspace(0.5, 1.5, len(outputs))).astype(np.uint8)
    for k, output in enumerate(outputs):
        labels[:, k] = 0 if output.name == "Hernia" else labels[:, k]
    logits = rng.normal(labels * skill, 1.0) - (2.0 if activation is SIGMOID else 0.0)
    return Predictions(
        dataset=dataset,
        split=split,
        recipe="",
        outputs=outputs,
        activation=activation,
        images=tuple(f"{seed}-{n}.png" for n in range(count)),
        patients=tuple(f"{seed}-{n // 2}" for n in range(count)),
        labels_NK=labels,
        scores_NK=logits,
        calibrated=False,
        thresholds_K=np.full(len(outputs), np.nan),
    )


def learning_curve(said: Predictions, epochs: int = 4, seed: int = 0) -> list[EpochRecord]:
    """A curve that ends at the AUC of the predictions."""
    values = per_output(auc, said.scores_NK, said.labels_NK)
    rng = np.random.default_rng(seed)
    records = []
    for epoch in range(1, epochs + 1):
        lag = 0.12 * (1 - epoch / epochs)
        now = {o.name: None if v is None else v - lag for o, v in zip(said.outputs, values, strict=True)}
        found = [now[o.name] for o in said.outputs if o.kind is OutputKind.FINDING]
        records.append(
            EpochRecord(
                epoch=epoch,
                step=100 * epoch,
                learning_rate=1e-4,
                train_loss=0.3 - 0.03 * epoch + rng.normal(0, 0.004),
                validation_loss=0.3 - 0.02 * epoch + rng.normal(0, 0.004),
                mean_auc=mean_defined(found),
                auc=now,
                images_per_s=50.0 + seed,
                seconds=60.0,
            )
        )
    return records


def write_run(path: Path, name: str, said: Predictions, *, fold: int = 0, folds: int = 5, kept: bool = True) -> Path:
    """A run's folder as train leaves it; kept: with the predictions."""
    run = RunFolder(path)
    recipe = tiny_recipe(name=name, data__dataset=said.dataset, data__folds=folds, data__validation_fold=fold)
    run.write_recipe(recipe)
    run.write_history(learning_curve(said, seed=fold))
    if kept:
        run.write_validation(replace(said, recipe=name))
    return path


def write_folds(path: Path, name: str, folds: int = 3, **made: object) -> Path:
    for fold in range(folds):
        write_run(path / f"fold-{fold}", name, made_up(seed=50 + fold, **made), fold=fold, folds=folds)  # type: ignore[arg-type]
    return path


def write_evaluation(file: Path, said: Predictions, *, bundle: str = "made-up", kept: bool = True) -> Path:
    """The JSON of evaluate; kept: with FILE.npz, probabilities and the bundle's operating points."""
    shares = 1 / (1 + np.exp(-said.scores_NK))
    whole = replace(
        said,
        split="test",
        recipe="tiny",
        scores_NK=shares,
        calibrated=True,
        thresholds_K=np.full(len(said.outputs), 0.2),
        thresholds_from="nih validation",
    )
    evaluation = replace(
        judge(whole),
        bundle=bundle,
        bundle_sha256="0" * 64,
        engine="torch",
        precision="f32",
        images_per_s=12.0,
    )
    file.write_text(evaluation_json(evaluation))
    if kept:
        write_predictions(file.with_suffix(".npz"), whole)
    return file
