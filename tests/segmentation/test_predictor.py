"""Networks at work: engines, slabs, flips."""

import numpy as np
import pytest

from voltome.errors import InputError, ResourceError
from voltome.segmentation import Model, choose_engine, cut_slabs, decide, open_predictor, predict_block
from voltome.segmentation.graph import build_graph

from .conftest import make_volume

GREY, TRUTH = make_volume(5, (12, 70, 52))
WHOLE = (slice(0, 12), slice(0, 70), slice(0, 52))


def likely_of(model: Model, **options) -> np.ndarray:
    return predict_block(open_predictor(model, **options), model, GREY, WHOLE)


def test_graph_gives_what_the_trained_network_gives(trained: Model) -> None:
    ours, theirs = (likely_of(trained, engine=name) for name in ("onnxruntime", "torch"))
    assert np.abs(ours - theirs).max() < 1e-5
    assert np.allclose(ours.sum(axis=0), 1, atol=1e-5)


def test_openvino_agrees_to_bfloat16(trained: Model) -> None:
    pytest.importorskip("openvino")
    ours, theirs = (likely_of(trained, engine=name) for name in ("onnxruntime", "openvino"))
    assert (ours.argmax(axis=0) == theirs.argmax(axis=0)).mean() > 0.995
    assert np.abs(ours - theirs).mean() < 0.01


def test_unseen_volume_is_segmented(trained: Model) -> None:
    phases, confidence = decide(likely_of(trained), trained.codes)
    assert (phases == TRUTH).mean() > 0.9
    wrong = phases != TRUTH
    assert confidence[wrong].mean() < confidence[~wrong].mean()


@pytest.mark.parametrize("threads", [1, 2])
def test_slabs_give_what_the_whole_gives(trained: Model, threads: int) -> None:
    predictor = open_predictor(trained, engine="onnxruntime", threads=threads)
    whole = predict_block(predictor, trained, GREY, WHOLE)
    for start in range(0, 12, 5):
        block = (slice(start, min(start + 5, 12)), *WHOLE[1:])
        assert np.allclose(predict_block(predictor, trained, GREY, block), whole[:, block[0]], atol=2e-6)


def test_tiles_agree_with_the_whole_away_from_nothing(trained: Model) -> None:
    grey, _ = make_volume(6, (3, 260, 48))
    predictor = open_predictor(trained, engine="onnxruntime")
    whole = predict_block(predictor, trained, grey, (slice(0, 3), slice(0, 260), slice(0, 48)))
    tiles = [slice(0, 128), slice(128, 260)]
    parts = [predict_block(predictor, trained, grey, (slice(0, 3), tile, slice(0, 48))) for tile in tiles]
    assert np.abs(np.concatenate(parts, axis=2) - whole).max() < 1e-4  # the tile's context of 64 voxels is all it needs


def test_slabs_fill_the_volume_once(trained: Model) -> None:
    predictor = open_predictor(trained, engine="onnxruntime")
    count = np.zeros((100, 90, 70), int)
    for block in cut_slabs(count.shape, predictor, pixels=64 * 64):
        count[block] += 1
    assert (count == 1).all()


def test_slab_read_ahead_gives_what_blocks_give(trained: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    from voltome.segmentation import predict_slab, predictor

    monkeypatch.setattr(predictor, "_PART_VOXELS", 3 * 70 * 52)
    runner = open_predictor(trained, engine="onnxruntime")
    phases, confidence, grey = predict_slab(runner, trained, GREY, (slice(2, 11), *WHOLE[1:]))
    np.testing.assert_array_equal(grey, GREY[2:11])
    whole = decide(predict_block(runner, trained, GREY, WHOLE), trained.codes)
    assert np.array_equal(phases, whole[0][2:11])
    assert np.abs(confidence.astype(int) - whole[1][2:11]).max() <= 1


def test_flips_average_and_are_refused_if_odd(trained: Model) -> None:
    flipped = likely_of(trained, engine="onnxruntime", flips=8)
    assert np.allclose(flipped.sum(axis=0), 1, atol=1e-5)
    turned = predict_block(open_predictor(trained, engine="onnxruntime", flips=8), trained, GREY[:, ::-1], WHOLE)
    assert np.abs(turned[:, :, 4:-4] - flipped[:, :, ::-1][:, :, 4:-4]).mean() < 0.02
    with pytest.raises(InputError, match="flips"):
        open_predictor(trained, flips=3)


def test_missing_values_get_no_phase(trained: Model) -> None:
    grey = GREY.astype(np.float32)
    grey[4, 10:20] = np.nan
    likely = predict_block(open_predictor(trained, engine="onnxruntime"), trained, grey, WHOLE)
    phases, confidence = decide(likely, trained.codes)
    assert (phases[4, 10:20] == 0).all() and (confidence[4, 10:20] == 0).all()
    assert (phases == 0).sum() == 10 * 52


def test_damaged_weights_are_told(trained: Model) -> None:
    arrays = {name: array for name, array in trained.arrays.items() if name != "0.up.0.weight"}
    from dataclasses import replace

    with pytest.raises(InputError, match=r"up\.0\.weight"):
        build_graph(replace(trained, arrays=arrays))


def test_engines_are_chosen_by_name() -> None:
    assert choose_engine("auto") in ("openvino", "onnxruntime")
    with pytest.raises(InputError, match="engine must be one of"):
        choose_engine("magic")


def test_engine_that_is_not_installed_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert choose_engine("auto") == "onnxruntime"
    with pytest.raises(ResourceError, match=r"voltome\[openvino\]"):
        choose_engine("openvino")
