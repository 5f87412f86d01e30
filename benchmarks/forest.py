"""The forest: Dice on real images from scribbles and from random pixels; speed of features and prediction.

Data is that of the tests (VOLTOME_DATA). Run: OMP_NUM_THREADS=1 python benchmarks/forest.py [sandstone scribbles speed]
"""

from __future__ import annotations

import argparse
import itertools
import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray
from pages import make_table
from scipy import ndimage

from voltome.segmentation import (
    ForestPredictor,
    Model,
    find_features,
    find_grey_scale,
    make_classes,
    predict_block,
    train_forest,
)
from voltome.segmentation.features import SCALES, count_features, measure_tiles, plan_features

Singles = NDArray[np.float32]
Row = list[str]

DATA = Path(os.environ.get("VOLTOME_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")) / "segmentation"
TRAINED_ON = ("0000", "0050", "0100", "0200", "0300", "0400")
TESTED_ON = ("0150", "0250", "0350")
PIXELS = (1000, 5000, 20000)
SEEDS = (0, 1, 2)


def read_slice(name: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Image and codes of a slice of sandstone."""
    import tifffile

    image, mask = (tifffile.imread(DATA / "sandstone" / kind / f"{name}.tif") for kind in ("images", "masks"))
    bits = (mask > 127).astype(np.uint8)
    return image if image.ndim == 2 else image[..., 0], 4 * bits[..., 0] + 2 * bits[..., 1] + bits[..., 2]


def train(
    images: Sequence[NDArray[np.uint8]], labels: Sequence[NDArray[np.uint8]], *, seed: int, threads: int
) -> Model:
    """A forest in 2D from what is labelled in some images."""
    grey = find_grey_scale(images)
    places = [np.argwhere(one[None]) for one in labels]
    features = [
        find_features(image[None], dimensions=2, at=at, grey=grey, threads=threads)
        for image, at in zip(images, places, strict=True)
    ]
    codes = np.concatenate([one[one > 0] for one in labels]).astype(np.int64)
    classes = make_classes(np.unique(codes).tolist())
    return train_forest(
        np.concatenate(features), codes, classes=classes, grey=grey, dimensions=2, seed=seed, threads=threads
    )


def judge(
    model: Model, images: Sequence[NDArray[np.uint8]], truths: Sequence[NDArray[np.uint8]], threads: int
) -> NDArray[np.float64]:
    """Dice of each class where the truth is not 0, all images taken together."""
    predictor = ForestPredictor(model, threads=threads)
    sums = np.zeros((len(model.codes), 2))
    for image, truth in zip(images, truths, strict=True):
        block = (slice(0, 1), slice(0, image.shape[0]), slice(0, image.shape[1]))
        found = model.codes[predict_block(predictor, model, image[None], block)[:, 0].argmax(axis=0)]
        for number, code in enumerate(model.codes):
            here, there = (found == code) & (truth > 0), truth == code
            sums[number] += (here & there).sum(), here.sum() + there.sum()
    dice: NDArray[np.float64] = 2 * sums[:, 0] / sums[:, 1]
    return dice


def run_sandstone(threads: int = 1) -> tuple[Row, list[Row]]:
    """Random labelled pixels of six slices, judged on three others: four phases of a rock, in 2D."""
    known, tests = ([read_slice(name) for name in names] for names in (TRAINED_ON, TESTED_ON))
    rows = []
    for pixels in PIXELS:
        found, taken = [], 0.0
        for seed in SEEDS:
            rng = np.random.default_rng(seed)
            labels = []
            for _, codes in known:
                drawn = np.zeros(codes.size, dtype=bool)
                drawn[rng.choice(codes.size, pixels, replace=False)] = True
                labels.append(np.where(drawn.reshape(codes.shape), codes, 0).astype(np.uint8))
            clock = time.process_time()
            model = train([image for image, _ in known], labels, seed=seed, threads=threads)
            taken += (time.process_time() - clock) / len(SEEDS)
            found.append(judge(model, *zip(*tests, strict=True), threads))
        mean, spread = np.mean(found, axis=0), np.mean(found, axis=1).std(ddof=1)
        rows.append([f"{6 * pixels}", f"{mean.mean():.4f} ± {spread:.4f}", *(f"{one:.4f}" for one in mean)])
        print(f"sandstone, {6 * pixels} pixels: {mean.mean():.4f}, {taken:.0f} CPU s to train", file=sys.stderr)
    return ["labelled pixels", "mean Dice", *(f"class {code}" for code in (1, 2, 4, 6))], rows


def run_scribbles(threads: int = 1) -> tuple[Row, list[Row]]:
    """Two images by their own scribbles, judged on the dense truth of what was not scribbled on."""
    import tifffile

    rows = []
    for name in ("0", "1"):
        image, labels, truth = (
            np.squeeze(tifffile.imread(DATA / "scribbles" / f"{name}{tail}.tif"))
            for tail in ("", "_labels", "_ground_truth")
        )
        unseen = np.where(labels == 0, truth, 0)
        found = []
        for seed in SEEDS:
            model = train([image], [labels], seed=seed, threads=threads)
            found.append(judge(model, [image], [unseen], threads))
        mean, spread = np.mean(found, axis=0), np.mean(found, axis=1).std(ddof=1)
        share = f"{(labels > 0).sum()} of {labels.size}"
        rows.append([name, share, f"{mean.mean():.4f} ± {spread:.4f}", ", ".join(f"{one:.4f}" for one in mean)])
    return ["image", "scribbled pixels", "mean Dice", "of each class"], rows


def find_with_scipy(image: Singles, dimensions: int) -> Singles:
    """The same kinds of features, as one writes them with SciPy and NumPy."""
    axes = range(3 - dimensions, 3)
    features = [image]
    for scale in SCALES:
        sigma = [scale if axis in axes else 0.0 for axis in range(3)]
        inner = [one / 2 for one in sigma]
        features += [
            ndimage.gaussian_filter(image, sigma),
            ndimage.gaussian_gradient_magnitude(image, sigma),
            ndimage.gaussian_laplace(image, sigma),
        ]
        gradient = [ndimage.gaussian_filter(image, sigma, order=[int(a == axis) for a in range(3)]) for axis in axes]
        hessian = np.empty((*image.shape, dimensions, dimensions), dtype=np.float32)
        tensor = np.empty_like(hessian)
        for i, j in itertools.combinations_with_replacement(range(dimensions), 2):
            order = [int(a == axes[i]) + int(a == axes[j]) for a in range(3)]
            hessian[..., i, j] = hessian[..., j, i] = ndimage.gaussian_filter(image, sigma, order=order)
            tensor[..., i, j] = tensor[..., j, i] = ndimage.gaussian_filter(gradient[i] * gradient[j], inner)
        for one in (hessian, tensor):
            features += list(np.moveaxis(np.linalg.eigvalsh(one)[..., ::-1], -1, 0))
    return np.stack(features)


def measure_rate(work: Callable[[], object], voxels: int, *, repeats: int = 3) -> float:
    """Mvoxel per CPU second, the best of some."""
    best = math.inf
    for _ in range(repeats):
        clock = time.process_time()
        work()
        best = min(best, time.process_time() - clock)
    return voxels / best / 1e6


def run_speed() -> tuple[Row, list[Row]]:
    """One core: features alone, beside SciPy's in the same run, and features with the forest."""
    rng = np.random.default_rng(0)
    known = [read_slice(name) for name in TRAINED_ON]
    labels = [np.where(rng.random(codes.shape) < 0.005, codes, 0).astype(np.uint8) for _, codes in known]
    forests = {2: train([image for image, _ in known], labels, seed=0, threads=1)}
    # a volume with the slices' texture: features in 3D need no truth to be timed, the trees are as deep as those in 2D
    stack = np.stack([image[:384, :384] for image, _ in known]).repeat(4, axis=0)
    at = np.argwhere(rng.random(stack.shape) < 0.01)
    codes = np.stack([codes[:384, :384] for _, codes in known]).repeat(4, axis=0)[tuple(at.T)].astype(np.int64)
    grey = find_grey_scale([stack])
    forests[3] = train_forest(
        find_features(stack, at=at, grey=grey), codes, classes=make_classes(np.unique(codes).tolist()), grey=grey
    )
    rows = []
    for dimensions, inner, small in ((3, (64, 256, 256), (48, 48, 48)), (2, (8, 512, 512), (1, 256, 256))):
        plan = plan_features(SCALES, dimensions)
        shape = [n + 2 * halo for n, halo in zip(inner, plan.halo_vox, strict=True)]
        block = forests[dimensions].grey.scale(np.resize(stack, shape))

        def features_alone(block: Singles = block, plan: object = plan) -> None:
            for _ in measure_tiles(block, plan):  # type: ignore[arg-type]
                pass

        peer = np.ascontiguousarray(block[tuple(slice(0, n) for n in small)])
        predictor = ForestPredictor(forests[dimensions])
        voxels = math.prod(inner)
        ours = measure_rate(features_alone, voxels)
        theirs = measure_rate(lambda peer=peer, d=dimensions: find_with_scipy(peer, d), peer.size)  # type: ignore[misc]
        whole = measure_rate(lambda predictor=predictor, block=block: predictor.predict(block), voxels, repeats=2)  # type: ignore[misc]
        nodes = len(forests[dimensions].arrays["child"]) / forests[dimensions].settings["trees"]
        rows.append(
            [
                f"{dimensions}D, {count_features(SCALES, dimensions)} features",
                f"{ours:.1f}",
                f"{theirs:.2f}",
                f"{ours / theirs:.0f}",
                f"{whole:.2f}",
                f"{nodes:.0f}",
            ]
        )
    return [
        "one core, Mvoxel per CPU s",
        "features",
        "the same with SciPy",
        "ratio",
        "features and 64 trees",
        "nodes of a tree",
    ], rows


def main() -> None:
    """Print the tables in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=["sandstone", "scribbles", "speed"])
    parser.add_argument("--threads", type=int, default=1)
    wanted = parser.parse_args()
    for part in wanted.parts:
        if part == "speed":
            header, rows = run_speed()
        else:
            header, rows = {"sandstone": run_sandstone, "scribbles": run_scribbles}[part](wanted.threads)
        print(f"\n{make_table(header, rows)}", flush=True)


if __name__ == "__main__":
    main()
