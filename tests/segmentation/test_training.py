"""Training of the network."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from voltome.errors import InputError
from voltome.segmentation import LabelledSlice, Model, find_grey_scale, make_classes
from voltome.segmentation.network import AttentionUNet, settle_norms
from voltome.segmentation.stages import Epoch, State
from voltome.segmentation.training import find_loss, train_network

from .conftest import QUICK, make_slices

CLASSES = make_classes([1, 4], {1: "matrix", 4: "silicon"})


def train(slices: list[LabelledSlice], **options) -> Model:
    grey = find_grey_scale([one.image for one in slices])
    return train_network(slices, **({"classes": CLASSES, "grey": grey, "settings": QUICK} | options))


def test_stripes_are_learned_and_scored_on_held_out_volumes(trained: Model) -> None:
    assert trained.scores["slices"] == 4
    assert trained.scores["dice"]["silicon"] > 0.9
    assert trained.calibration["temperature"] > 0


def test_same_seed_gives_the_same_weights_and_another_does_not() -> None:
    short = replace(QUICK, epochs=2, folds=0)
    first, again, other = (train(make_slices(), settings=replace(short, seed=seed)) for seed in (3, 3, 9))
    assert all(np.array_equal(again.arrays[name], array) for name, array in first.arrays.items())
    assert not np.array_equal(other.arrays["0.head.weight"], first.arrays["0.head.weight"])


@pytest.mark.parametrize("cut", [0, 4, 5, 6, 9])
def test_run_that_was_cut_off_goes_on_to_the_same_weights(cut: int) -> None:
    kept: list[State] = []
    short = replace(QUICK, epochs=6, batches=2)
    whole = train(make_slices(), settings=short, on_state=kept.append)
    again = train(make_slices(), settings=short, state=kept[cut])
    assert all(np.array_equal(again.arrays[name], array) for name, array in whole.arrays.items())
    assert again.scores == whole.scores


def test_epochs_are_told_stage_by_stage() -> None:
    told: list[Epoch] = []
    train(make_slices(), settings=replace(QUICK, epochs=6, batches=1), on_epoch=told.append)
    assert [[e.number for e in told if e.stage == stage] for stage in range(3)] == [[1, 2], [1, 2], [1, 2, 3, 4, 5, 6]]
    assert all(np.isfinite(e.loss) and 0 <= e.dice <= 1 for e in told)


def test_unlabelled_pixels_do_not_count() -> None:
    scores = torch.randn(2, 2, 16, 16, generator=torch.Generator().manual_seed(0))
    labels = torch.randint(0, 2, (2, 16, 16), generator=torch.Generator().manual_seed(1))
    labels[:, :8] = -1
    other = scores.clone()
    other[:, :, :8] = 50 * torch.randn(2, 2, 8, 16)
    for first, second in zip(find_loss(scores, labels), find_loss(other, labels), strict=True):
        assert float(first) == pytest.approx(float(second), abs=1e-6)


def test_loss_of_the_truth_is_nothing() -> None:
    labels = torch.randint(0, 2, (1, 16, 16), generator=torch.Generator().manual_seed(1))
    scores = 30.0 * torch.nn.functional.one_hot(labels, 2).movedim(-1, 1).float()
    loss, dice = find_loss(scores, labels)
    assert float(loss) < 1e-2
    assert float(dice) == 1.0


def test_start_begins_from_the_models_weights(trained: Model) -> None:
    still = train(make_slices(), start=trained, settings=replace(QUICK, epochs=1, folds=0, rate=1e-9))
    assert np.allclose(still.arrays["0.head.weight"], trained.arrays["0.head.weight"], atol=1e-6)
    assert "start" not in still.scores  # nothing was held out to compare on


def test_what_the_start_scored_stands_beside_the_new_score(trained: Model) -> None:
    still = train(make_slices(), start=trained, settings=replace(QUICK, epochs=1, rate=1e-9))
    spoilt = train(make_slices(), start=trained, settings=replace(QUICK, epochs=1, rate=0.5))
    assert still.scores["start"] == spoilt.scores["start"]
    assert still.scores["start"]["slices"] == still.scores["slices"]
    assert spoilt.scores["dice_mean"] < spoilt.scores["start"]["dice_mean"]


def test_start_of_other_classes_or_planes_is_refused(trained: Model) -> None:
    with pytest.raises(InputError, match=r"\[1, 2\].*\[1, 4\]"):
        train(make_slices(), start=trained, classes=make_classes([1, 2]))
    with pytest.raises(InputError, match="3 planes, these slices have 5"):
        train(make_slices(5), start=trained)


def test_ensemble_keeps_the_networks_of_the_folds() -> None:
    model = train(make_slices(), settings=replace(QUICK, epochs=1, ensemble=True))
    assert model.settings["members"] == 3
    assert not np.array_equal(model.arrays["0.head.weight"], model.arrays["2.head.weight"])


def test_one_slice_trains_without_scores() -> None:
    model = train(make_slices()[:1], settings=replace(QUICK, epochs=1))
    assert model.scores == {}
    assert model.calibration == {}


def test_settled_norms_predict_what_they_were_measured_on() -> None:
    torch.manual_seed(0)
    network = AttentionUNet(1, 3, 4, 2)
    images = 0.3 + torch.rand(24, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    images[12:] *= 5  # half of the crops are another matter
    settle_norms(network, images)
    with torch.no_grad():
        wanted = network.train()(images)
        settle_norms(network, images)
        found = network.eval()(images)
        torch.testing.assert_close(found, wanted, atol=2e-3, rtol=2e-3)
        batch = network.train()(images[12:16])
    assert (batch - found[12:16]).abs().max() > 0.1  # four crops alone are judged by another scale


def test_norms_stay_in_the_last_quarter_of_training() -> None:
    kept: list[State] = []
    train(make_slices(), settings=replace(QUICK, epochs=8, batches=2, folds=0), on_state=kept.append)
    means = [state.arrays["0.network.encoder.0.norm1.running_mean"] for state in kept[:-1]]
    weights = [state.arrays["0.network.encoder.0.norm1.weight"] for state in kept[:-1]]
    assert not np.array_equal(means[4], means[5])
    assert np.array_equal(means[6], means[-1])
    assert not np.array_equal(weights[6], weights[5])


@pytest.mark.parametrize("threads", [1, 2])
def test_stages_worked_side_by_side_give_the_same_weights(trained: Model, threads: int) -> None:
    usual = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        again = train(make_slices(), settings=QUICK)
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(usual)
    assert all(np.array_equal(again.arrays[name], array) for name, array in trained.arrays.items())
    assert again.scores == trained.scores


@pytest.mark.parametrize("threads", [1, 3])
def test_what_fails_in_one_stage_ends_them_all(threads: int) -> None:
    usual, told = torch.get_num_threads(), []

    def fail(epoch: Epoch) -> None:
        told.append(epoch)
        raise OSError("the disk is full")

    torch.set_num_threads(threads)
    try:
        with pytest.raises(OSError, match="the disk is full"):
            train(make_slices(), settings=replace(QUICK, epochs=3000), on_epoch=fail)
    finally:
        torch.set_num_threads(usual)
    assert len(told) <= threads
