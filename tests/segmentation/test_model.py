"""Models, their description and their files."""

import numpy as np
import pytest

from voltome import io
from voltome.errors import InputError
from voltome.segmentation import Model, describe_model, make_classes, restore_model


def test_file_holds_the_same_model(trained: Model, tmp_path) -> None:
    io.write_model_file(tmp_path / "m.safetensors", trained.arrays, describe_model(trained))
    again = restore_model(*io.read_model_file(tmp_path / "m.safetensors"), "m")
    assert describe_model(again) == describe_model(trained)
    assert all(np.array_equal(again.arrays[name], array) for name, array in trained.arrays.items())


def test_truncated_file_is_refused_in_one_line(trained: Model, tmp_path) -> None:
    io.write_model_file(tmp_path / "m.safetensors", trained.arrays, describe_model(trained))
    content = (tmp_path / "m.safetensors").read_bytes()
    for cut in (0, 5, 200, len(content) - 1):
        (tmp_path / "cut.safetensors").write_bytes(content[:cut])
        with pytest.raises(InputError, match="cut short") as caught:
            io.read_model_file(tmp_path / "cut.safetensors")
        assert "\n" not in str(caught.value)


def test_pickle_is_never_loaded(tmp_path) -> None:
    import pickle

    (tmp_path / "m.safetensors").write_bytes(pickle.dumps({"weights": 1}))
    with pytest.raises(InputError, match="not a model"):
        io.read_model_file(tmp_path / "m.safetensors")


def test_safetensors_of_others_is_told_apart(tmp_path) -> None:
    from safetensors.numpy import save

    (tmp_path / "other.safetensors").write_bytes(save({"a": np.zeros(3, np.float32)}))
    with pytest.raises(InputError, match="no model of voltome"):
        io.read_model_file(tmp_path / "other.safetensors")


def test_description_of_a_later_version_is_refused(trained: Model) -> None:
    with pytest.raises(InputError, match="update voltome"):
        restore_model(trained.arrays, describe_model(trained) | {"format": 99}, "m")
    with pytest.raises(InputError, match="description"):
        restore_model(trained.arrays, {"format": 1, "kind": "network"}, "m")


@pytest.mark.parametrize("codes", [[], [0], [0, 3], [3, 300]])
def test_classes_need_two_codes_of_a_byte(codes: list[int]) -> None:
    with pytest.raises(InputError, match="classes"):
        make_classes(codes)


def test_unknown_class_names_those_there_are(trained: Model) -> None:
    assert trained.find_class("silicon") == 1
    with pytest.raises(InputError, match="matrix, silicon"):
        trained.find_class("graphite")
