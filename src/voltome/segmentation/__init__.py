"""Segmentation: which phase each voxel is, how sure that is, and what follows for volumes.

A random forest makes labels from scribbles, a network learns from labelled slices and predicts volumes. This room opens
no file: it takes arrays and models and returns arrays and numbers.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

_HOMES = {
    "ForestPredictor": "forest",
    "GreyScale": "grey_scale",
    "LabelledSlice": "slices",
    "Model": "model",
    "PhaseClass": "model",
    "Predictor": "predictor",
    "TrainingSettings": "settings",
    "choose_engine": "engine",
    "compare_labels": "evaluation",
    "count_features": "features",
    "cut_slabs": "predictor",
    "decide": "predictor",
    "describe_model": "model",
    "describe_tally": "tally",
    "doubt_greys": "tally",
    "doubt_temperature": "calibration",
    "find_features": "features",
    "find_grey_scale": "grey_scale",
    "find_learned": "slices",
    "fingerprint_arrays": "model",
    "fingerprint_slices": "slices",
    "make_classes": "model",
    "compare_predictions": "consistency",
    "judge_switch": "switch",
    "measure_consistency": "consistency",
    "measure_greys": "tally",
    "open_predictor": "predictor",
    "predict_block": "predictor",
    "predict_slab": "predictor",
    "recalibrate": "recalibration",
    "restore_model": "model",
    "suggest_patches": "suggestion",
    "tally_slab": "tally",
    "train_forest": "forest",
}

if TYPE_CHECKING:
    from voltome.segmentation.calibration import doubt_temperature
    from voltome.segmentation.consistency import compare_predictions, measure_consistency
    from voltome.segmentation.engine import choose_engine
    from voltome.segmentation.evaluation import compare_labels
    from voltome.segmentation.features import count_features, find_features
    from voltome.segmentation.forest import ForestPredictor, train_forest
    from voltome.segmentation.grey_scale import GreyScale, find_grey_scale
    from voltome.segmentation.model import (
        Model,
        PhaseClass,
        describe_model,
        fingerprint_arrays,
        make_classes,
        restore_model,
    )
    from voltome.segmentation.predictor import Predictor, cut_slabs, decide, open_predictor, predict_block, predict_slab
    from voltome.segmentation.recalibration import recalibrate
    from voltome.segmentation.settings import TrainingSettings
    from voltome.segmentation.slices import LabelledSlice, find_learned, fingerprint_slices
    from voltome.segmentation.suggestion import suggest_patches
    from voltome.segmentation.switch import judge_switch
    from voltome.segmentation.tally import describe_tally, doubt_greys, measure_greys, tally_slab

__all__ = [
    "ForestPredictor",
    "GreyScale",
    "LabelledSlice",
    "Model",
    "PhaseClass",
    "Predictor",
    "TrainingSettings",
    "choose_engine",
    "compare_labels",
    "compare_predictions",
    "count_features",
    "cut_slabs",
    "decide",
    "describe_model",
    "describe_tally",
    "doubt_greys",
    "doubt_temperature",
    "find_features",
    "find_grey_scale",
    "find_learned",
    "fingerprint_arrays",
    "fingerprint_slices",
    "judge_switch",
    "make_classes",
    "measure_consistency",
    "measure_greys",
    "open_predictor",
    "predict_block",
    "predict_slab",
    "recalibrate",
    "restore_model",
    "suggest_patches",
    "tally_slab",
    "train_forest",
]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(importlib.import_module(f"voltome.segmentation.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'voltome.segmentation' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
