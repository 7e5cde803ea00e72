"""One of several training workers: `python gloo_worker.py CONFIG DATASET`.

The environment holds the variables of torch.distributed.
"""

import os
import sys
from pathlib import Path

import torch.distributed as dist

from argus.dataset import Dataset
from argus.runs import RunFolder
from argus.train import DistributedContext, train
from schemas.config import TrainConfig
from schemas.names import JobKind

if __name__ == "__main__":
    config = TrainConfig.model_validate_json(Path(sys.argv[1]).read_text())
    dist.init_process_group("gloo")
    context = DistributedContext(rank=int(os.environ["RANK"]), size=int(os.environ["WORLD_SIZE"]))
    folder = RunFolder.of(config, JobKind.TRAIN)
    train(config, folder, Dataset(Path(sys.argv[2])), distributed=context)
    dist.destroy_process_group()
