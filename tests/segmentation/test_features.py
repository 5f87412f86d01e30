"""Features of voxels: that places, tiles and edges do not matter, and what they say of simple images."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from voltome.errors import InputError
from voltome.segmentation import GreyScale, count_features, find_features
from voltome.segmentation.features import measure_tiles, plan_features

SHAPE = (11, 41, 73)
SCALES = (1.0, 2.0)


def noise(shape: tuple[int, ...] = SHAPE, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def as_volumes(features: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    return np.moveaxis(features.reshape(*shape, -1), -1, 0)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_names_count_the_features(dimensions: int) -> None:
    names = plan_features(SCALES, dimensions).names
    assert len(set(names)) == len(names) == count_features(SCALES, dimensions) == 1 + 2 * (3 + 2 * dimensions)
    assert find_features(noise((2, 9, 9)), scales=SCALES, dimensions=dimensions).shape == (162, len(names))


@pytest.mark.parametrize("dimensions", [2, 3])
def test_voxels_by_themselves_have_the_features_that_they_have_among_all(dimensions: int) -> None:
    image = noise((6, 70, 150))
    at = np.argwhere(np.random.default_rng(1).random(image.shape) < 2e-3)[::-1]
    everywhere = find_features(image, scales=SCALES, dimensions=dimensions).reshape(*image.shape, -1)
    some = find_features(image, scales=SCALES, dimensions=dimensions, at=at, threads=2)
    np.testing.assert_allclose(some, everywhere[tuple(at.T)], atol=1e-6)  # sums may be ordered otherwise


def test_gaussians_are_those_of_scipy() -> None:
    image = noise()
    features = as_volumes(find_features(image, scales=SCALES), SHAPE)
    names = plan_features(SCALES).names
    assert np.array_equal(features[names.index("grey value")], image)
    for scale in SCALES:
        expected = ndimage.gaussian_filter(image.astype(np.float64), scale, mode="reflect", truncate=5)
        error = features[names.index(f"Gaussian {scale:g}")] - expected
        assert np.abs(error).max() < 0.1 * expected.std()  # ours end at 2.5 sigma


@pytest.mark.parametrize("axes", [(1, 2), (0, 2)])
def test_turned_image_has_turned_features(axes: tuple[int, int]) -> None:
    image = noise((12, 23, 34))
    straight = as_volumes(find_features(image, scales=SCALES), image.shape)
    turned_image = np.ascontiguousarray(np.rot90(image, axes=axes))
    turned = as_volumes(find_features(turned_image, scales=SCALES), turned_image.shape)
    expected = np.stack([np.rot90(one, axes=axes) for one in straight])
    np.testing.assert_allclose(turned, expected, atol=2e-5)


def test_planes_do_not_see_each_other_in_2d() -> None:
    image = noise((3, 30, 70))
    together = as_volumes(find_features(image, scales=SCALES, dimensions=2), image.shape)
    alone = as_volumes(find_features(image[1:2], scales=SCALES, dimensions=2), (1, 30, 70))
    np.testing.assert_array_equal(together[:, 1], alone[:, 0])


def test_halo_is_all_that_decides_on_a_voxel() -> None:
    plan = plan_features(SCALES, 3)
    reach = plan.reach
    block = noise((1 + 2 * reach,) * 3)
    wider = np.pad(block, 3, constant_values=50.0)
    inner = dict(zip(("block", "wider"), (block, wider[3:-3, 3:-3, 3:-3]), strict=True))
    values = {name: next(measure_tiles(part, plan))[1][:, 0, 0, 0] for name, part in inner.items()}
    np.testing.assert_array_equal(values["block"], values["wider"])
    changed = block.copy()
    changed[0] += 1000.0  # the farthest plane still counts
    assert (next(measure_tiles(changed, plan))[1][:, 0, 0, 0] != values["block"]).any()


def test_structure_tensor_knows_layers_from_texture() -> None:
    z, y, x = np.indices((24, 40, 70))
    layers = np.sin((y + x) / 2.0).astype(np.float32)
    names = plan_features(SCALES).names
    rows = [names.index(f"structure tensor 2 value {i}") for i in (1, 2, 3)]
    of_layers, of_noise = (
        as_volumes(find_features(image, scales=SCALES), z.shape)[rows].mean(axis=(1, 2, 3))
        for image in (layers, noise(z.shape))
    )
    assert abs(of_layers[1]) < 0.03 * of_layers[0]  # what there is comes from the faces
    assert of_noise[2] > 0.05 * of_noise[0] and of_noise[1] > 0.1 * of_noise[0]


def test_grey_scale_comes_first() -> None:
    image = (1000 * noise() + 30000).astype(np.uint16)
    grey = GreyScale(29000.0, 31000.0, (-0.3, 0.5, 1.3))
    scaled = find_features(image, scales=SCALES, dimensions=2, grey=grey)
    np.testing.assert_array_equal(scaled, find_features(grey.scale(image), scales=SCALES, dimensions=2))


def test_voxels_without_value_are_refused_only_where_they_matter() -> None:
    image = noise((4, 30, 300))
    image[2, 5, 290] = np.nan
    near, far = np.array([[2, 5, 280]]), np.array([[2, 5, 20]])
    assert np.isfinite(find_features(image, scales=SCALES, at=far)).all()
    with pytest.raises(InputError, match=r"within 12 voxels of z 2 to 2, y 5 to 5, x 280 to 280 hold NaN"):
        find_features(image, scales=SCALES, at=near)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"scales": ()}, "scales must be voxels in ascending order .got none"),
        ({"scales": (2, 1)}, "ascending order .got 2, 1"),
        ({"scales": (0.1, 1)}, "scales must be 0.5 to 32"),
        ({"scales": (1, 64)}, "scales must be 0.5 to 32"),
        ({"scales": (1, float("nan"))}, "ascending order"),
        ({"dimensions": 4}, "dimensions must be 2 or 3 .got 4"),
        ({"at": np.array([[0, 0, 73]])}, "voxels must lie within"),
    ],
)
def test_what_cannot_be_is_refused(options: dict, said: str) -> None:
    with pytest.raises(InputError, match=said):
        find_features(noise(), **options)


def test_image_without_planes_is_refused() -> None:
    with pytest.raises(InputError, match="three axes"):
        find_features(noise((30, 30)), dimensions=2)  # type: ignore[arg-type]
