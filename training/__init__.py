"""The training pipeline: prepare, train, evaluate, release. Hands bundles to the tool and nothing else."""
