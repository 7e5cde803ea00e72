"""Training: loop, checkpoints, averaged weights, validation. Knows neither Ray nor MLflow."""

from argus.train.data import (
    TrainingData,
    check_training_data,
    training_rows,
    validation_examples,
)
from argus.train.distributed import DistributedContext
from argus.train.loop import TrainSummary, train
from argus.train.observer import LossLog, NullObserver, Observer
from argus.train.setup import recorded_snapshot
from argus.train.validation import sample_image, validation_loss

__all__ = [
    "DistributedContext",
    "LossLog",
    "NullObserver",
    "Observer",
    "TrainSummary",
    "TrainingData",
    "check_training_data",
    "recorded_snapshot",
    "sample_image",
    "train",
    "training_rows",
    "validation_examples",
    "validation_loss",
]
