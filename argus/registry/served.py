"""The registered model as MLflow loads it ("models from code").

    model = mlflow.pyfunc.load_model("models:/argus@champion")
    model.predict([{"input": "in.mp4", "output": "out.mp4", "fov_deg": 75}])

Requests and responses contain paths of videos, not pixels, which would be 3.7 times larger as JSON.
A copy of this file is stored with each model's weights: the names that it imports from `argus` and
`schemas` must stay importable.
"""

from pathlib import Path
from typing import Any

from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext
from pydantic import BaseModel, Field


class GenerateRequest(BaseModel):
    """An ordinary video to turn into a 360° video. Paths are those of the machine that serves.

    Optional fields default to None, because MLflow's signature calls any other default required.
    """

    input: str
    output: str
    fov_deg: float | None = Field(None, gt=5, lt=179)  # horizontal; ignored with poses; default 75
    poses: str | None = None  # a trajectory file that `Trajectory.load` reads
    max_seconds: float | None = Field(None, gt=0)
    seed: int | None = None  # default 0
    steps: int | None = Field(None, ge=1)  # sampling steps; default: the model's own


class GenerateResponse(BaseModel):
    """The generated video."""

    output: str
    frames: int
    height: int
    width: int


class ArgusModel(PythonModel):
    """Generates 360° videos with the stored pipeline, which is loaded at the first request."""

    def load_context(self, context: PythonModelContext) -> None:
        """Store the path of the pipeline folder."""
        self._folder = Path(context.artifacts["pipeline"])
        self._pipeline: Any = None

    def predict(self, model_input: list[GenerateRequest]) -> list[GenerateResponse]:
        """Write one 360° video per request, in order."""
        return [self._generate(request) for request in model_input]

    def _generate(self, request: GenerateRequest) -> GenerateResponse:
        from argus.diffusion import ArgusPipeline
        from argus.infer import generate_video
        from schemas.config import GenerateConfig, SampleOverrides

        if self._pipeline is None:
            self._pipeline = ArgusPipeline.from_pretrained(self._folder)
        fields = request.model_dump(exclude_none=True)
        config = GenerateConfig(sample=SampleOverrides(steps=fields.pop("steps", None)), **fields)
        video = generate_video(
            self._pipeline,
            config.input,
            config.output,
            fov_deg=config.fov_deg,
            poses=config.poses,
            max_seconds=config.max_seconds,
            settings=config.sample.over(self._pipeline.settings.sample),
            seed=config.seed,
        )
        return GenerateResponse(
            output=str(video.path), frames=video.frames, height=video.height, width=video.width
        )


set_model(ArgusModel())
