"""A recipe so small that a run takes seconds, for the phantoms of tests.nih_phantoms."""

import copy
from typing import Any

from training.recipes.config import Recipe
from training.recipes.load import recipe_from

TINY: dict[str, Any] = {
    "name": "tiny",
    "seed": 1,
    "data": {"dataset": "nih", "folder": "nowhere", "folds": 4, "validation_fold": 0, "cache_size_px": 48},
    "preprocess": {
        "size_px": 32,
        "geometry": "stretch",
        "interpolation": "bilinear",
        "window_low_percentile": 0.5,
        "window_high_percentile": 99.5,
    },
    "network": {
        "architecture": "mobilenet_v2",
        "in_channels": 3,
        "input_px": 0,
        "mean": [0.5, 0.5, 0.5],
        "std": [0.25, 0.25, 0.25],
        "head_dropout": 0.1,
        "trunk_activation": "own",
        "head_grid": 1,
        "head_hidden": [],
        "head_activation": "relu",
        "head_batch_norm": False,
    },
    "start": {"weights": "random", "head_bias": "prior"},
    "augment": {"crop": [0.9, 1.0], "brightness": 5.0, "contrast": 0.05},
    "loss": {"kind": "bce"},
    "optimizer": {"kind": "adamw", "learning_rate": 1e-3, "weight_decay": 0.01, "clip_norm": 5.0},
    "schedule": {"kind": "cosine", "warmup": 0.1},
    "loop": {"epochs": 2, "batch_size": 4, "ema_decay": 0.9},
    "release": {"name": "tiny", "version": "0.1", "limits": ["Phantoms only."]},
}
"""Plain values, to be copied before they are changed."""


def tiny_recipe(**overrides: Any) -> Recipe:
    """The tiny recipe with some values replaced; keys are 'table__key'."""
    data = copy.deepcopy(TINY)
    for key, value in overrides.items():
        *tables, last = key.split("__")
        table = data
        for name in tables:
            table = table[name]
        table[last] = value
    return recipe_from(data, "tiny")
