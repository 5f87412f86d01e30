"""Training crops as other scans and other days might have shown them: turned, brighter, noisier, less sharp."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

_GAIN, _OFFSET, _GAMMA = 0.015, 0.01, 0.03  # of the window: more, and half-reacted silicon cannot be told by its grey
_NOISE, _BLUR = 0.01, 0.2  # of the window, pixels: more, and fine texture cannot be told


@dataclass(frozen=True, eq=False)
class Crops:
    """Draws crops from slices, each time others.

    Parameters
    ----------
    images : list of (planes, h, w) float32
        On the model's grey scale.
    labels : list of (h, w) int64
        Places of classes, -1 where nothing was labelled.
    side : int
        Edge of a crop; no slice is smaller.
    generator : torch.Generator
    """

    images: list[Tensor]
    labels: list[Tensor]
    side: int
    generator: torch.Generator

    def draw(self, numbers: list[int]) -> tuple[Tensor, Tensor]:
        """One crop of each of these slices.

        Parameters
        ----------
        numbers : list of int

        Returns
        -------
        images : (N, planes, side, side) float32
        labels : (N, side, side) int64
        """
        pairs = [self._cut(number) for number in numbers]
        images = torch.stack([image for image, _ in pairs])
        return self._relight(images), torch.stack([labels for _, labels in pairs])

    def _whole(self, stop: int) -> int:
        return int(torch.randint(stop, (1,), generator=self.generator))

    def _uniform(self, count: int, low: float, high: float) -> Tensor:
        return (low + (high - low) * torch.rand(count, generator=self.generator)).view(-1, 1, 1, 1)

    def _cut(self, number: int) -> tuple[Tensor, Tensor]:
        image, labels = self.images[number], self.labels[number]
        for _ in range(8):  # a crop in which nothing is labelled teaches nothing
            y, x = (self._whole(n - self.side + 1) for n in labels.shape)
            part = labels[y : y + self.side, x : x + self.side]
            if (part >= 0).any():
                break
        crop = image[:, y : y + self.side, x : x + self.side]
        turns = self._whole(4)
        crop, part = torch.rot90(crop, turns, (1, 2)), torch.rot90(part, turns, (0, 1))
        if self._whole(2):
            crop, part = crop.flip(2), part.flip(1)
        if self._whole(2):  # from the other side
            crop = crop.flip(0)
        return crop, part

    def _relight(self, images: Tensor) -> Tensor:
        count = len(images)
        gain, offset, gamma = (self._uniform(count, -most, most) for most in (_GAIN, _OFFSET, _GAMMA))
        bent = torch.sign(images) * images.abs().clamp_min(1e-6) ** torch.exp(gamma)
        images = bent * (1 + gain) + offset
        # Half of them stay sharp, half without more noise.
        sigma, sd = (self._uniform(count, -most, most).clamp_min(0.0) for most in (_BLUR, _NOISE))
        if sigma.any():
            images = _blur(images, sigma)
        return images + sd * torch.randn(images.shape, generator=self.generator)


def _blur(images: Tensor, sigma: Tensor) -> Tensor:
    """Gaussian of five taps along rows and columns, its own for each image."""
    count, planes, rows, columns = images.shape
    places = torch.arange(-2.0, 3.0)
    taps = torch.exp(-0.5 * (places / sigma.view(-1, 1).clamp_min(1e-3)) ** 2)
    taps = (taps / taps.sum(dim=1, keepdim=True)).repeat_interleave(planes, dim=0)
    flat = images.reshape(1, count * planes, rows, columns)
    flat = functional.conv2d(functional.pad(flat, (2, 2, 0, 0), "reflect"), taps[:, None, None, :], groups=len(taps))
    flat = functional.conv2d(functional.pad(flat, (0, 0, 2, 2), "reflect"), taps[:, None, :, None], groups=len(taps))
    return flat.reshape(images.shape)
