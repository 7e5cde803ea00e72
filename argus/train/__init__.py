"""Training: step, loop, checkpoints, average of the weights, validation. Knows neither Ray nor MLflow."""

from argus.train.data import training_rows, validation_examples
from argus.train.distributed import DistributedContext
from argus.train.loop import TrainSummary, train
from argus.train.observer import LogObserver, NullObserver, Observer
from argus.train.validation import sample_picture, validation_loss

__all__ = [
    "LogObserver",
    "NullObserver",
    "Observer",
    "TrainSummary",
    "DistributedContext",
    "sample_picture",
    "train",
    "training_rows",
    "validation_examples",
    "validation_loss",
]
