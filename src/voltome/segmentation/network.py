"""Attention residual U-Net, in PyTorch: what is trained. Predictions run its graph (`graph`), without PyTorch.

After Oktay et al. 2018 (10.48550/arXiv.1804.03999) and Zhang et al. 2018 (10.1109/LGRS.2018.2802944), as the paper's:
residual blocks of two convolutions, gates that weigh what the encoder hands over by what the decoder knows. The 1 x 1
convolutions of gate and decoder work before the upsampling, with which they commute: four times fewer products.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions, normalised, and a way around them."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.around = nn.Conv2d(inputs, outputs, 1, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, h, w) to (N, outputs, h, w)."""
        y = functional.relu(self.norm1(self.conv1(x)))
        return functional.relu(self.norm2(self.conv2(y)) + self.around(x))


class AttentionGate(nn.Module):
    """Weight 0 to 1 for each pixel that the encoder hands over."""

    def __init__(self, coarse: int, fine: int) -> None:
        super().__init__()
        inner = max(fine // 2, 4)
        self.coarse = nn.Conv2d(coarse, inner, 1)
        self.fine = nn.Conv2d(fine, inner, 1, bias=False)
        self.weight = nn.Conv2d(inner, 1, 1)

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """Gated features of the encoder; `coarse` has half their rows and columns."""
        hint = functional.interpolate(self.coarse(coarse), scale_factor=2, mode="nearest")
        return fine * torch.sigmoid(self.weight(functional.relu(hint + self.fine(fine))))


class AttentionUNet(nn.Module):
    """Slices to class scores.

    Parameters
    ----------
    planes : int
        Slices in: the one to be labelled and its neighbours.
    classes : int
    base : int
        Channels at full resolution; doubled at each of the `depth` levels below.
    depth : int
    """

    def __init__(self, planes: int, classes: int, base: int, depth: int) -> None:
        super().__init__()
        widths = [base * 2**k for k in range(depth + 1)]
        self.encoder = nn.ModuleList(
            ResidualBlock(planes if k == 0 else widths[k - 1], widths[k]) for k in range(depth + 1)
        )
        self.gates = nn.ModuleList(AttentionGate(widths[k + 1], widths[k]) for k in range(depth))
        self.up = nn.ModuleList(nn.Conv2d(widths[k + 1], widths[k], 1) for k in range(depth))
        self.decoder = nn.ModuleList(ResidualBlock(2 * widths[k], widths[k]) for k in range(depth))
        self.head = nn.Conv2d(base, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, planes, h, w), h and w multiples of 2**depth, to scores (N, classes, h, w)."""
        handed: list[Tensor] = []
        for level, block in enumerate(self.encoder):
            x = block(x if level == 0 else functional.max_pool2d(x, 2))
            handed.append(x)
        for level in reversed(range(len(self.decoder))):
            gated = self.gates[level](x, handed[level])
            raised = functional.interpolate(self.up[level](x), scale_factor=2, mode="nearest")
            x = self.decoder[level](torch.cat([raised, gated], dim=1))
        scores: Tensor = self.head(x)
        return scores


def settle_norms(network: AttentionUNet, images: Tensor) -> None:
    """Mean and variance of all norms become those of these images.

    A norm that is trained on a few crops at a time and predicts with means over many such batches judges slices by
    other scales than it learned on; where crops differ much (a crop of air, a crop of rock) rare classes are lost.

    Parameters
    ----------
    network : AttentionUNet
    images : (N, planes, h, w) float32
        As many and as different as predictions will meet.

    Returns
    -------
    None
        The network is changed in place.
    """
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    usual = [norm.momentum for norm in norms]
    network.train()
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        network(images)
    for norm, momentum in zip(norms, usual, strict=True):
        norm.momentum = momentum


def fix_norms(network: AttentionUNet) -> None:
    """Train on with the mean and variance that norms have.

    Parameters
    ----------
    network : AttentionUNet

    Returns
    -------
    None
        Until its `train` is called again.
    """
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
