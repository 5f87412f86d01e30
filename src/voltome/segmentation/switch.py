"""Whether a step in a series is matter, or the change from one model to another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError

Verdict = Literal["matter", "model", "both", "neither", "unknown"]
Values = NDArray[np.float64]

_COVERAGE = 0.95
_DUST = 1e-9


@dataclass(frozen=True)
class SwitchJudgement:
    """What a step at a switch of models is made of; in the unit of the series, NaN where it is not known.

    Parameters
    ----------
    step_across, step_across_sd : float
        What the series shows: the second model at its first scan minus the first model at its last.
    step_first_model, step_second_model : float
        The same step by either model alone.
    due_to_matter, due_to_matter_sd : float
        Mean of these two, or the one that is known.
    due_to_switch, due_to_switch_sd : float
        Second model minus first on the same scans. Both parts add up to `step_across`.
    share, share_sd : float
        Of the switch in the step; NaN where the step itself does not stand out.
    certain_sds : float
        How many standard deviations a part has to have to stand out (95 %, two-sided).
    verdict : {"matter", "model", "both", "neither", "unknown"}
        What stands out.
    sentence : str
        The same in words.
    """

    step_across: float
    step_across_sd: float
    step_first_model: float
    step_second_model: float
    due_to_matter: float
    due_to_matter_sd: float
    due_to_switch: float
    due_to_switch_sd: float
    share: float
    share_sd: float
    certain_sds: float
    verdict: Verdict
    sentence: str


def judge_switch(
    first_model: Sequence[float] | Values,
    second_model: Sequence[float] | Values,
    switch: int,
    *,
    first_sd: Sequence[float] | Values | None = None,
    second_sd: Sequence[float] | Values | None = None,
    scans: Sequence[str] | None = None,
    quantity: str = "the volume",
) -> SwitchJudgement:
    """Tell how much of a step at a switch of models is matter and how much the models.

    The step is the change that a model sees by itself plus the models' difference on one scan. With both scans beside
    the switch measured by both models, each part is the mean of two. With one of them, it is that one. With none, the
    difference is the mean over the scans that both measured, and uncertain by its scatter.

    Standard deviations come from those of the values, taken as independent, and from half of what the models differ on
    the step where that stands out; where no sds are given, from the scatter of the models' difference over all
    scans that both measured.

    Parameters
    ----------
    first_model, second_model : (N,) sequence of float
        The quantity at each scan, as either model measures it; NaN where it was not applied.
    switch : int
        Index of the first scan that the series takes from the second model.
    first_sd, second_sd : (N,) sequence of float, optional
        Standard deviations, both or none.
    scans : sequence of str, optional
        Names, else T0, T1, ...
    quantity : str
        For the sentence.

    Returns
    -------
    SwitchJudgement

    Raises
    ------
    InputError
        If lengths differ, the series has a gap at the switch, no scan was measured by both, or sds are not positive.
    """
    first, second = (np.asarray(values, dtype=np.float64) for values in (first_model, second_model))
    _check(first, second, switch)
    names = list(scans) if scans is not None else [f"T{n}" for n in range(len(first))]
    if len(names) != len(first):
        raise InputError(f"scans must have a name each (got {len(names)} for {len(first)}): give one for each value")
    values = np.stack([first, second])
    both: NDArray[np.bool_] = np.asarray(np.isfinite(values).all(axis=0))
    difference = second[both] - first[both]
    variance, certain = _find_variance(values, both, difference, first_sd, second_sd)
    beside = [n for n in (switch - 1, switch) if both[n]]
    across, models = np.zeros_like(values), np.zeros_like(values)
    across[1, switch], across[0, switch - 1] = 1.0, -1.0
    used = np.array(beside or np.flatnonzero(both))
    models[1, used], models[0, used] = 1.0 / len(used), -1.0 / len(used)
    step, of_models = (_combine(weights, values) for weights in (across, models))
    alone = [float(one[switch] - one[switch - 1]) for one in (first, second)]
    spread = 0.0
    if not beside:
        spread = float(np.std(difference, ddof=1)) if len(difference) > 1 else math.nan
    elif first_sd is not None and len(beside) == 2:
        by_chance = math.sqrt(variance[:, [switch - 1, switch]].sum())
        apart = abs(alone[1] - alone[0])
        spread = apart / 2 if apart > certain * by_chance else 0.0
    sds = [
        math.hypot(math.sqrt(_combine(weights**2, variance)), extra)
        for weights, extra in ((across, 0.0), (across - models, spread), (models, spread))
    ]
    share, share_sd = math.nan, math.nan
    if abs(step) > certain * sds[0]:
        share = of_models / step
        share_sd = math.hypot(math.sqrt(_combine(((models - share * across) / step) ** 2, variance)), spread / step)
    matter = step - of_models
    verdict = _decide(matter, sds[1], of_models, sds[2], certain)
    return SwitchJudgement(
        step_across=step,
        step_across_sd=sds[0],
        step_first_model=alone[0],
        step_second_model=alone[1],
        due_to_matter=matter,
        due_to_matter_sd=sds[1],
        due_to_switch=of_models,
        due_to_switch_sd=sds[2],
        share=share,
        share_sd=share_sd,
        certain_sds=certain,
        verdict=verdict,
        sentence=_say(quantity, names[switch - 1], names[switch], step, (matter, sds[1]), (of_models, sds[2]), verdict),
    )


def _check(first: Values, second: Values, switch: int) -> None:
    if first.ndim != 1 or first.shape != second.shape:
        raise InputError(
            f"both series must be of one length (got shapes {first.shape} and {second.shape}): give NaN where a model "
            "was not applied"
        )
    if not 1 <= switch < len(first):
        raise InputError(
            f"the switch must be 1 to {len(first) - 1} (got {switch}): give the index of the second model's first scan"
        )
    if not (np.isfinite(first[switch - 1]) and np.isfinite(second[switch])):
        raise InputError(
            f"the series must have values at the switch (scan {switch - 1} by the first model, scan {switch} by the "
            "second): measure both"
        )
    if not (np.isfinite(first) & np.isfinite(second)).any():
        raise InputError("no scan was measured by both models: apply both to a scan beside the switch")


def _find_variance(
    values: Values,
    both: NDArray[np.bool_],
    difference: Values,
    first_sd: Sequence[float] | Values | None,
    second_sd: Sequence[float] | Values | None,
) -> tuple[Values, float]:
    """Variance of each value, and how many sds are certain; NaN where nothing tells."""
    from scipy.stats import norm, t

    tail = (1 + _COVERAGE) / 2
    if (first_sd is None) != (second_sd is None):
        raise InputError("standard deviations must be given of both models or of none: give first_sd and second_sd")
    if first_sd is not None and second_sd is not None:
        sds = np.stack([np.asarray(sd, dtype=np.float64) for sd in (first_sd, second_sd)])
        if sds.shape != values.shape or not (sds[np.isfinite(values)] > 0).all():
            raise InputError("standard deviations must be > 0, one for each value: give the sd of each measured scan")
        return sds**2, float(norm.ppf(tail))
    if len(difference) < 2:
        return np.full_like(values, np.nan), math.nan
    return np.full_like(values, np.var(difference, ddof=1) / 2), float(t.ppf(tail, int(both.sum()) - 1))


def _combine(weights: Values, values: Values) -> float:
    """Sum over what has a weight: values that nobody measured have none."""
    used = weights != 0
    return float((weights[used] * values[used]).sum())


def _decide(matter: float, matter_sd: float, models: float, models_sd: float, certain: float) -> Verdict:
    if any(math.isnan(value) for value in (matter_sd, models_sd, certain)):
        return "unknown"
    dust = _DUST * (abs(matter) + abs(models))  # values without any error leave some
    moved, switched = (abs(part) > certain * sd + dust for part, sd in ((matter, matter_sd), (models, models_sd)))
    if moved:
        return "both" if switched else "matter"
    return "model" if switched else "neither"


_VERDICTS: dict[Verdict, str] = {
    "matter": "the change is matter; that of the model adds none that stands out",
    "model": "the change is the model's; matter adds none that stands out",
    "both": "matter and the change of model both make a part of it: use one model on both sides",
    "neither": "neither stands out from the errors",
    "unknown": "what stands out cannot be told: give standard deviations, or measure more scans by both models",
}


def _say(
    quantity: str,
    before: str,
    after: str,
    step: float,
    matter: tuple[float, float],
    models: tuple[float, float],
    verdict: Verdict,
) -> str:
    parts = ", ".join(
        f"{value:+.3g} from {name}" if math.isnan(sd) else f"{value:+.3g} (sd {sd:.2g}) from {name}"
        for name, (value, sd) in (("matter", matter), ("the change of model", models))
    )
    changed = f"From {before} to {after}, where the model changes, {quantity} changes by {step:+.3g}"
    return f"{changed}: {parts}; {_VERDICTS[verdict]}."
