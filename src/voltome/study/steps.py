"""The steps of a study, in the order in which one needs another."""

from __future__ import annotations

from voltome.study import (
    accuracy,
    aligning,
    composing,
    correlating,
    electrode,
    movie,
    reconstructing,
    region,
    segmenting,
    silicon,
    storing,
    telling,
    truth,
)
from voltome.study.result import Step

STEPS = (
    Step("reconstruction", 1, reconstructing.plan_reconstruction, reconstructing.make_reconstruction),
    Step("grey", 1, storing.plan_grey, storing.make_grey),
    Step("series", 1, storing.plan_series, storing.make_series),
    Step("volumes", 1, storing.plan_volumes, storing.make_volume),
    Step("region", 2, region.plan_regions, region.make_region),
    Step("alignment", 2, aligning.plan_alignment, aligning.make_alignment),
    Step("surface", 2, aligning.plan_surface, aligning.make_surface),
    Step("increments", 1, correlating.plan_increments, correlating.make_increment),
    Step("noise", 2, composing.plan_noise, composing.make_noise),
    Step("cumulative", 3, composing.plan_cumulative, composing.make_cumulative),
    Step("direct", 2, correlating.plan_direct, correlating.make_direct),
    Step("electrode", 1, electrode.plan_electrode, electrode.make_electrode),
    Step("segmentation", 1, segmenting.plan_segmentation, segmenting.make_segmentation),
    Step("silicon", 3, silicon.plan_silicon, silicon.make_silicon),
    Step("truth", 2, truth.plan_truth, truth.make_truth),
    Step("accuracy", 2, accuracy.plan_accuracy, accuracy.make_accuracy),
    Step("tables", 2, telling.plan_tables, telling.make_tables),
    Step("figures", 1, telling.plan_figures, telling.make_figures),
    Step("movie", 1, movie.plan_movie, movie.make_movie),
    Step("report", 2, telling.plan_report, telling.make_report),
)
"""A step's version is raised when the same parameters give other numbers: then it is done again."""
