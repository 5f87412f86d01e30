"""Settings of a study's segmentation."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from voltome.settings import Settings
from voltome.study.levels import COMMON, RARE
from voltome.study.rules import find_segmentation_problems, refuse


class ModelRange(Settings):
    """A model for some scans."""

    model: str = Field(
        min_length=1, description="model file, or twin", examples=["early.safetensors"], json_schema_extra=COMMON
    )
    scans: tuple[str, ...] = Field(min_length=1, description="names of the scans", json_schema_extra=COMMON)


class SegmentationSettings(Settings):
    """Which model tells the phases of the scans."""

    model: str | None = Field(
        default=None,
        min_length=1,
        description="model for all scans; twin: the weights that come with voltome; null: scans are not segmented",
        json_schema_extra=COMMON,
    )
    ranges: tuple[ModelRange, ...] = Field(
        default=(),
        max_length=100,
        description="other models for some scans, such as [{model: early.safetensors, scans: [T0, T1, T2]}]",
        json_schema_extra=RARE,
    )
    silicon: str = Field(
        default="silicon",
        min_length=1,
        description="name of the model's class that is silicon not yet lithiated",
        json_schema_extra=RARE,
    )
    window: tuple[float, float] | None = Field(
        default=None,
        description="stored grey values that stand for the model's 0 and 1; null: those it learned",
        json_schema_extra=COMMON,
    )
    flips: Literal[1, 2, 4, 8] = Field(
        default=1, description="predictions are the mean over so many mirror images", json_schema_extra=COMMON
    )
    engine: Literal["auto", "openvino", "onnxruntime"] = Field(
        default="auto",
        description="auto: OpenVINO (bfloat16) where it is installed, else ONNX Runtime",
        json_schema_extra=RARE,
    )

    def find_model(self, scan: str) -> str | None:
        """Model of a scan; None: it is not segmented.

        Parameters
        ----------
        scan : str

        Returns
        -------
        str or None
        """
        return next((one.model for one in self.ranges if scan in one.scans), self.model)

    @model_validator(mode="after")
    def _check(self) -> Self:
        refuse(find_segmentation_problems(self))
        return self
