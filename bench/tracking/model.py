"""A finished training as an MLflow model: its network with its weights, with a signature, to be loaded from the run."""

from __future__ import annotations

import logging
import shutil
import warnings
from pathlib import Path

import torch

from bench.records.directory import Record
from bench.records.weights import WEIGHTS_NAME
from bench.run.export import trained_network

FOLDER = "model"


def mlflow_model(record: Record) -> Path | None:
    """The folder of the record's MLflow model, made beside it once; None for a run that trained no network.

    Load it with `mlflow.pytorch.load_model("runs:/<run id>/model")`. The input is a batch of normalised images,
    float32, (batch, C, H, W); the output logits, (batch, classes), or what the task has instead.
    """
    if record.info.phase != "train" or record.result is None or not (record.path / WEIGHTS_NAME).exists():
        return None
    folder = record.path / FOLDER
    if (folder / "MLmodel").exists():
        return folder
    import mlflow.pytorch
    from mlflow.models import infer_signature

    network, shape = trained_network(record.path)
    images = torch.zeros(2, *shape)  # a batch of one would be exported as always one
    with torch.no_grad():
        logits = network(images)
    temporary = record.path / f".{FOLDER}.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    level = logging.getLogger("mlflow").level
    try:
        logging.getLogger("mlflow").setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            mlflow.pytorch.save_model(
                network,
                temporary,
                signature=infer_signature(images.numpy(), logits.numpy()),
                input_example=images.numpy(),
                pip_requirements=[f"torch=={torch.__version__.split('+')[0]}"],
            )
    finally:
        logging.getLogger("mlflow").setLevel(level)
    shutil.rmtree(folder, ignore_errors=True)
    temporary.rename(folder)
    return folder
