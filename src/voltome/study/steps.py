"""The steps of a study, in the order in which one needs another."""

from __future__ import annotations

from voltome.study import composing, correlating, region, storing, telling, truth
from voltome.study.result import Step

STEPS = (
    Step("grey", 1, storing.plan_grey, storing.make_grey),
    Step("series", 1, storing.plan_series, storing.make_series),
    Step("volumes", 1, storing.plan_volumes, storing.make_volume),
    Step("region", 1, region.plan_regions, region.make_region),
    Step("increments", 1, correlating.plan_increments, correlating.make_increment),
    Step("noise", 1, composing.plan_noise, composing.make_noise),
    Step("cumulative", 2, composing.plan_cumulative, composing.make_cumulative),
    Step("direct", 2, correlating.plan_direct, correlating.make_direct),
    Step("truth", 1, truth.plan_truth, truth.make_truth),
    Step("tables", 1, telling.plan_tables, telling.make_tables),
    Step("report", 1, telling.plan_report, telling.make_report),
)
"""A step's version is raised when the same parameters give other numbers: then it is done again."""
