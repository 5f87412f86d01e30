"""Training of the network on labelled slices, with what it does on slices that were held out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict
from threading import Lock
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from voltome.errors import InputError
from voltome.segmentation.augmentation import Crops
from voltome.segmentation.calibration import HeldOut, calibrate, score_held_out
from voltome.segmentation.grey_scale import GreyScale
from voltome.segmentation.model import Model, PhaseClass
from voltome.segmentation.network import AttentionUNet, fix_norms, settle_norms
from voltome.segmentation.settings import TrainingSettings
from voltome.segmentation.slices import (
    LabelledSlice,
    check_slices,
    find_learned,
    fingerprint_slices,
    list_images,
    split_groups,
)
from voltome.segmentation.stages import Epoch, OnEpoch, OnState, Progress, State

_WARM_UP = 0.05
_LEAST_RATE = 0.01
_DECAY = 1e-4
_SETTLED = 0.75  # of training: from here on norms are what they will be in predictions
_SETTLING = 64  # crops that they are measured on
_SHORTER = 3  # times fewer epochs for the network of a fold
_KEPT_PIXELS = 20_000  # of a held-out slice, for the temperature


def train_network(
    slices: Sequence[LabelledSlice],
    *,
    classes: Sequence[PhaseClass],
    grey: GreyScale,
    settings: TrainingSettings | None = None,
    axis: str = "z",
    start: Model | None = None,
    device: str = "cpu",
    state: State | None = None,
    on_epoch: OnEpoch | None = None,
    on_state: OnState | None = None,
) -> Model:
    """Train a network on slices of which some pixels or all are labelled.

    The loss is cross-entropy plus one minus the Dice coefficient, over labelled pixels alone (Milletari et al. 2016,
    10.1109/3DV.2016.79); AdamW, the rate along a cosine.

    Parameters
    ----------
    slices : sequence of LabelledSlice
    classes : sequence of PhaseClass
        In the order of the probabilities.
    grey : GreyScale
    settings : TrainingSettings, optional
    axis : {"z", "y", "x"}
        Across the slices, as they were cut from their volumes; predictions go along it.
    start : Model, optional
        Begin from its weights, with its size; its classes must be these.
    device : str
        cpu, or a GPU as PyTorch names it.
    state : State, optional
        Go on from there: the result is that of a run that was not cut off.
    on_epoch, on_state : callable, optional
        Called after each epoch, and with what a later run may go on from; one at a time, from the threads of training.

    Returns
    -------
    Model

    Raises
    ------
    InputError
        If slices cannot be learned from, or do not fit the model to begin from.
    """
    settings = settings or TrainingSettings()
    check_slices(slices)
    progress = Progress(state, on_epoch, on_state)
    run = _Run(slices, classes, grey, settings, start, torch.device(device), progress)
    stages = [*split_groups(slices, settings.folds), []]
    done = run.work(stages)
    members = [member for member, _ in done]
    held = [one for _, many in done for one in many]
    learned = [] if start is None else find_learned(slices, start.made)
    kept = [members[-1], *(members[:-1] if settings.ensemble else [])]
    scores = score_held_out(held, classes)
    if scores and start is not None:  # what was gained by going on from it
        network = run.make_network().eval()
        scores["start"] = score_held_out([run.predict(network, one.number) for one in held], classes)
        scores["start"]["learned"] = len(learned)
    return Model(
        "network",
        tuple(classes),
        grey,
        {"base": run.base, "depth": run.depth, "planes": run.planes, "axis": axis, "members": len(kept)},
        {f"{i}.{name}": array for i, member in enumerate(kept) for name, array in member.items()},
        {
            "training": asdict(settings) | {"folds": len(stages) - 1},
            "slices": [one.name for one in slices],
            "images": sorted({*list_images(slices), *([] if start is None else start.made.get("images", []))}),
            "data": fingerprint_slices(slices),
            "start": None if start is None else start.made.get("data"),
        },
        scores,
        calibrate(held, classes, slices),
    )


class _Run:
    """Tensors of the slices, and the networks trained on them."""

    def __init__(
        self,
        slices: Sequence[LabelledSlice],
        classes: Sequence[PhaseClass],
        grey: GreyScale,
        settings: TrainingSettings,
        start: Model | None,
        device: torch.device,
        progress: Progress,
    ) -> None:
        self.slices, self.settings, self.device, self.progress = slices, settings, device, progress
        self.seeding = Lock()
        self.classes = len(classes)
        self.base = settings.base if start is None else int(start.settings["base"])
        self.depth = settings.depth if start is None else int(start.settings["depth"])
        self.planes = len(slices[0].image)
        self.start = _weights_to_start_from(start, classes, self.planes)
        places = np.full(256, -1, dtype=np.int64)
        for place, one in enumerate(classes):
            places[one.code] = place
        self.images = [torch.from_numpy(grey.scale(one.image)) for one in slices]
        self.labels = [torch.from_numpy(places[one.labels]) for one in slices]
        # Batches mix all slices, else norms would learn of each kind apart; small ones are continued by their mirror.
        largest = max(min(one.labels.shape) for one in slices)
        self.side = max(min(settings.side, largest) // 2**self.depth, 1) * 2**self.depth
        self.crop_images = [_continue(image, self.side) for image in self.images]
        self.crop_labels = [_continue(labels, self.side) for labels in self.labels]

    def make_network(self) -> Any:
        """A network to be trained: its weights are random, or those to start from."""
        network: Any = AttentionUNet(self.planes, self.classes, self.base, self.depth)
        if self.start is not None:
            network.load_state_dict(self.start)
        return network.to(self.device, memory_format=torch.channels_last)

    def work(self, stages: Sequence[Sequence[int]]) -> list[tuple[dict[str, NDArray[Any]], list[HeldOut]]]:
        """Weights of each stage's network and what it says of the slices it was not trained on, several at once.

        Each has one thread: so small a network gains little from a second, and its weights do not depend on how many
        there are.
        """
        threads = torch.get_num_threads()
        workers = min(threads, len(stages)) if self.device.type == "cpu" else 1
        with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            longest_first = [len(stages) - 1, *range(len(stages) - 1)]
            futures = {number: pool.submit(self._work_one, number, stages) for number in longest_first}
            try:
                for future in as_completed(futures.values()):
                    future.result()
            finally:
                self.progress.stop()
                pool.shutdown(cancel_futures=True)
                torch.set_num_threads(threads)
        return [futures[number].result() for number in range(len(stages))]

    def _work_one(self, number: int, stages: Sequence[Sequence[int]]) -> tuple[dict[str, NDArray[Any]], list[HeldOut]]:
        out = stages[number]
        epochs = max(1, self.settings.epochs // _SHORTER) if out else self.settings.epochs
        first, kept = self.progress.read(number)
        if first < epochs:
            network = self.train(number, len(stages), out, epochs)
            kept = {f"member.{name}": array for name, array in _copy_arrays(network).items()}
            for one in (self.predict(network, i) for i in out):
                kept |= one.arrays()
            self.progress.keep(number, epochs, kept)
        member = {k.removeprefix("member."): v for k, v in kept.items() if k.startswith("member.")}
        return member, [HeldOut.restore(kept, i) for i in out]

    def train(self, stage: int, stages: int, out: Sequence[int], epochs: int) -> AttentionUNet:
        """A network trained on all slices but those of numbers `out`."""
        settings, seed = self.settings, self.settings.seed + 1000 * stage
        with self.seeding:
            torch.manual_seed(seed)
            network = self.make_network()
        optimiser = torch.optim.AdamW(network.parameters(), settings.rate, weight_decay=_DECAY, fused=True)
        generator = torch.Generator().manual_seed(seed)
        crops = Crops(self.crop_images, self.crop_labels, self.side, generator)
        use = [i for i in range(len(self.slices)) if i not in out]
        first, kept = self.progress.read(stage)
        if first:
            _restore(kept, network, optimiser, generator)
        settled = int(_SETTLED * epochs)
        for epoch in range(first, epochs):
            network.train()
            if epoch == settled:
                drawn = torch.randint(len(use), (_SETTLING,), generator=generator)
                settle_norms(network, crops.draw([use[i] for i in drawn])[0].to(self.device))
            if epoch >= settled:
                fix_norms(network)
            sums = torch.zeros(2)
            left: list[int] = []  # an epoch begins with all slices, so that a run may go on from any
            for batch in range(settings.batches):
                self.progress.check()
                done = (epoch + batch / settings.batches) / epochs
                for group in optimiser.param_groups:
                    group["lr"] = settings.rate * _rate(done)
                while len(left) < settings.batch:
                    left += torch.randperm(len(use), generator=generator).tolist()
                numbers, left = [use[i] for i in left[: settings.batch]], left[settings.batch :]
                sums += self._step(network, optimiser, *crops.draw(numbers))
            loss, dice = (sums / settings.batches).tolist()
            self.progress.tell(Epoch(stage, stages, epoch + 1, epochs, loss, dice))
            if epoch + 1 < epochs:
                self.progress.keep(stage, epoch + 1, _copy_run(network, optimiser, generator))
        trained: AttentionUNet = network.eval()
        return trained

    def _step(self, network: AttentionUNet, optimiser: torch.optim.Optimizer, images: Tensor, labels: Tensor) -> Tensor:
        images = images.to(self.device, memory_format=torch.channels_last)
        labels = labels.to(self.device)
        half = self.device.type == "cuda" or self.base >= 16  # narrow layers are no faster in bfloat16 on a CPU
        with torch.autocast(self.device.type, torch.bfloat16, enabled=half):
            scores = network(images)
        loss, dice = find_loss(scores.float(), labels)
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimiser.step()
        return torch.stack([loss.detach(), dice]).cpu()

    def predict(self, network: AttentionUNet, number: int) -> HeldOut:
        """What a network says of a slice that it has not seen."""
        image, labels = self.images[number], self.labels[number]
        rows, columns = labels.shape
        step = 2**self.depth
        padded = functional.pad(image[None], (0, -columns % step, 0, -rows % step), "reflect")
        with torch.inference_mode():
            scores = network(padded.to(self.device, memory_format=torch.channels_last))[0, :, :rows, :columns]
        known = labels >= 0
        return HeldOut.sample(number, scores.float().cpu()[:, known].numpy(), labels[known].numpy(), most=_KEPT_PIXELS)


def _continue(values: Tensor, side: int) -> Tensor:
    """Rows and columns continued by their mirror image up to `side`."""
    pads = [(0, 0)] * (values.ndim - 2) + [(0, max(side - n, 0)) for n in values.shape[-2:]]
    return torch.from_numpy(np.pad(values.numpy(), pads, mode="symmetric")) if any(b for _, b in pads) else values


def find_loss(scores: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy plus one minus Dice, over labelled pixels, and the Dice coefficient of the most likely classes.

    Parameters
    ----------
    scores : (N, C, h, w) float32
    labels : (N, h, w) int64
        -1 where nothing was labelled.

    Returns
    -------
    loss, dice : tensors without axes
        Mean over the classes that are labelled in this batch.
    """
    entropy = functional.cross_entropy(scores, labels, ignore_index=-1)
    known = (labels >= 0).unsqueeze(1)
    truth = functional.one_hot(labels.clamp_min(0), scores.shape[1]).movedim(-1, 1) * known
    likely = torch.softmax(scores, dim=1) * known
    axes = (0, 2, 3)
    count = truth.sum(axes)
    present = count > 0
    soft = (2 * (likely * truth).sum(axes) + 1) / (likely.sum(axes) + count + 1)
    with torch.no_grad():
        chosen = functional.one_hot(scores.argmax(1), scores.shape[1]).movedim(-1, 1) * known
        hard = 2 * (chosen * truth).sum(axes) / (chosen.sum(axes) + count).clamp_min(1)
        dice = hard[present].mean()
    return entropy + 1 - soft[present].mean(), dice


def _rate(done: float) -> float:
    """Share of the highest learning rate: a short rise, then half a cosine."""
    if done < _WARM_UP:
        return (done + 1e-3) / (_WARM_UP + 1e-3)
    fall = (done - _WARM_UP) / (1 - _WARM_UP)
    return _LEAST_RATE + (1 - _LEAST_RATE) * 0.5 * (1 + math.cos(math.pi * fall))


def _weights_to_start_from(start: Model | None, classes: Sequence[PhaseClass], planes: int) -> dict[str, Tensor] | None:
    if start is None:
        return None
    if start.kind != "network":
        raise InputError("the model to start from is a forest, not a network: give one that `segment train` wrote")
    if int(start.settings["planes"]) != planes:
        raise InputError(
            f"the model to start from takes {start.settings['planes']} planes, these slices have {planes}: cut slices "
            "from volumes with their neighbours (LABELS.yaml), or start from nothing"
        )
    theirs, ours = [one.code for one in start.classes], [one.code for one in classes]
    if theirs != ours:
        known = ", ".join(f"{one.code} {one.name}" for one in start.classes)
        raise InputError(
            f"labels hold classes {ours}, the model to start from {theirs} ({known}): write its codes into your labels "
            "(leave out what you do not label), or start from nothing"
        )
    return {name[2:]: torch.from_numpy(array.copy()) for name, array in start.arrays.items() if name.startswith("0.")}


def _copy_arrays(network: AttentionUNet) -> dict[str, NDArray[Any]]:
    return {name: tensor.detach().cpu().numpy().copy() for name, tensor in network.state_dict().items()}


def _copy_run(
    network: AttentionUNet, optimiser: torch.optim.Optimizer, generator: torch.Generator
) -> dict[str, NDArray[Any]]:
    arrays = {f"network.{name}": array for name, array in _copy_arrays(network).items()}
    for number, moments in optimiser.state_dict()["state"].items():
        for name, value in moments.items():
            arrays[f"optimiser.{number}.{name}"] = torch.as_tensor(value).detach().cpu().numpy().copy()
    return arrays | {"generator": generator.get_state().numpy().copy()}


def _restore(
    arrays: Mapping[str, NDArray[Any]],
    network: AttentionUNet,
    optimiser: torch.optim.Optimizer,
    generator: torch.Generator,
) -> None:
    def tensors(prefix: str) -> Mapping[str, Tensor]:
        found = {k[len(prefix) :]: v for k, v in arrays.items() if k.startswith(prefix)}
        return {name: torch.from_numpy(np.array(array)) for name, array in found.items()}

    network.load_state_dict(dict(tensors("network.")))
    moments: dict[int, dict[str, Tensor]] = {}
    weights = list(network.parameters())
    for name, value in tensors("optimiser.").items():
        number, _, what = name.partition(".")
        weight = weights[int(number)]
        # The fused optimiser goes through memory: moments must lie there as their weights do.
        laid = torch.empty_like(weight).copy_(value) if value.shape == weight.shape else value
        moments.setdefault(int(number), {})[what] = laid.detach()
    optimiser.load_state_dict(optimiser.state_dict() | {"state": moments})
    generator.set_state(torch.from_numpy(np.array(arrays["generator"])))
