"""The registered model, as MLflow loads it ("models from code"): paths of videos in, paths of 360° videos out.

`mlflow.pyfunc.load_model("models:/argus@champion").predict([{"input": "in.mp4", "output": "out.mp4", "fov_deg": 75}])`.
This file is copied beside each model's weights. Pixels never travel as JSON: they would cost 3.7 times their size.
"""

from pathlib import Path
from typing import Any

from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext
from pydantic import BaseModel, Field


class GenerateRequest(BaseModel):
    """One ordinary video to turn into a 360° video. Paths are read and written where the model runs.

    What may be left out is None: MLflow's signature calls any other default required.
    """

    input: str
    output: str
    fov_deg: float | None = Field(
        None, gt=5, lt=179
    )  # horizontal, where no poses are given; default 75
    poses: str | None = None  # whatever `Trajectory.load` reads
    max_seconds: float | None = Field(None, gt=0)
    seed: int | None = None  # default 0
    steps: int | None = Field(None, ge=1)  # of the sampler; default the model's own


class GenerateResponse(BaseModel):
    """The video that was written."""

    output: str
    frames: int
    height: int
    width: int


class ArgusModel(PythonModel):
    """Generates with the pipeline that is stored beside it; the weights are read at the first request, once."""

    def load_context(self, context: PythonModelContext) -> None:
        """Remembers where the pipeline lies."""
        self._folder = Path(context.artifacts["pipeline"])
        self._pipeline: Any = None

    def predict(self, model_input: list[GenerateRequest]) -> list[GenerateResponse]:
        """Writes one 360° video per request, in order."""
        return [self._generate(request) for request in model_input]

    def _generate(self, request: GenerateRequest) -> GenerateResponse:
        from argus.diffusion import ArgusPipeline
        from argus.infer import generate_video
        from schemas.config import GenerateConfig, SampleOverrides

        if self._pipeline is None:
            self._pipeline = ArgusPipeline.from_pretrained(self._folder)
        given = request.model_dump(exclude_none=True)
        wanted = GenerateConfig(sample=SampleOverrides(steps=given.pop("steps", None)), **given)
        made = generate_video(
            self._pipeline,
            wanted.input,
            wanted.output,
            fov_deg=wanted.fov_deg,
            poses=wanted.poses,
            max_seconds=wanted.max_seconds,
            settings=wanted.sample.over(self._pipeline.settings.sample),
            seed=wanted.seed,
        )
        return GenerateResponse(
            output=str(made.path), frames=made.frames, height=made.height, width=made.width
        )


set_model(ArgusModel())
