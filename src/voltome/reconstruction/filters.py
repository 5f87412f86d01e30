"""Filters of filtered backprojection, as responses on the frequencies of a padded row."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError

FILTERS = ("ramp", "shepp-logan", "hann", "none")
"""Names of the filters, from sharp to smooth; `none` is plain backprojection."""


def make_response(name: str, length: int, *, cutoff: float = 1.0) -> NDArray[np.float64]:
    """Frequency response of a filter for projections of unit pixels, after Kak and Slaney.

    The ramp is the transform of its band-limited kernel (1/4 at 0, -1/(pi n)^2 at odd n), not a sampled |f|, which
    loses the mean: section 3.3 of Principles of Computerized Tomographic Imaging (10.1137/1.9780898719277).

    Parameters
    ----------
    name : str
        `ramp`; `shepp-logan`, the ramp times sinc(f / 2 f_c); `hann`, the ramp times cos^2(pi f / 4 f_c), which halves
        noise at the price of resolution; `none`, ones.
    length : int
        Samples of the padded row.
    cutoff : float
        f_c as a share of the Nyquist frequency; nothing passes above it.

    Returns
    -------
    (length,) float64
        In cycles per pixel, at `numpy.fft.fftfreq(length)`.

    Raises
    ------
    InputError
        If the name is unknown, the length below 2 or the cutoff not in (0, 1].

    Examples
    --------
    >>> response = make_response("ramp", 1024)
    >>> round(float(response[256]), 4), round(float(response[512]), 4)
    (0.25, 0.4998)
    """
    if name not in FILTERS:
        raise InputError(f"filter must be one of {', '.join(FILTERS)} (got {name}): take ramp")
    if length < 2:
        raise InputError(f"length must be >= 2 (got {length}): give the samples of a padded row")
    if not 0 < cutoff <= 1:
        raise InputError(f"cutoff must be in (0, 1] (got {cutoff}): give a share of the Nyquist frequency")
    frequency = np.fft.fftfreq(length)
    relative = np.abs(frequency) / (0.5 * cutoff)
    if name == "none":
        return np.where(relative <= 1, 1.0, 0.0)
    distance = np.minimum(np.arange(length), length - np.arange(length))
    odd = distance % 2 == 1
    kernel = np.where(odd, -1.0 / (np.pi * np.maximum(distance, 1)) ** 2, 0.0)
    kernel[0] = 0.25
    window = {"ramp": np.ones(length), "shepp-logan": np.sinc(relative / 2), "hann": np.cos(np.pi * relative / 4) ** 2}
    if name == "hann":  # a Hann window ends at its cutoff
        window["hann"] = np.cos(np.pi * np.minimum(relative, 1) / 2) ** 2
    response: NDArray[np.float64] = np.fft.fft(kernel).real * np.where(relative <= 1, window[name], 0.0)
    return response
