"""The network in ONNX, made from its weights: what ONNX Runtime and OpenVINO run. Norms are folded into weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError
from voltome.segmentation.model import Model

Singles = NDArray[np.float32]

_OPSET = 17
_IR_VERSION = 8  # old enough for every runtime that knows this opset
_NORM = ("weight", "bias", "running_mean", "running_var")
_EPSILON = 1e-5  # of PyTorch's norms


def build_graph(model: Model, member: int = 0) -> bytes:
    """The graph of a network as ONNX.

    Parameters
    ----------
    model : Model
        Of kind "network".
    member : int
        Of an ensemble.

    Returns
    -------
    bytes
        Input `slices` (N, planes, h, w) float32 on the model's grey scale, h and w multiples of 2**depth; output
        `likely` (N, classes, h, w) float32, calibrated probabilities.

    Raises
    ------
    InputError
        If weights are missing or of another shape.
    """
    from onnx import TensorProto, checker, helper

    settings = model.settings
    weights = {name.partition(".")[2]: a for name, a in model.arrays.items() if name.startswith(f"{member}.")}
    builder = _Builder(weights)
    try:
        builder.network(int(settings["depth"]), float(model.calibration.get("temperature", 1.0)))
        rows = {"planes": int(settings["planes"]), "classes": len(model.classes)}
        if (
            weights["encoder.0.conv1.weight"].shape[1] != rows["planes"]
            or len(weights["head.weight"]) != rows["classes"]
        ):
            raise InputError("a model's weights are not those of its planes and classes: train it anew")
    except KeyError as error:
        raise InputError(f"a model lacks the weights {error}: it was cut short, train it anew") from None
    graph = helper.make_graph(
        builder.nodes,
        "voltome",
        [helper.make_tensor_value_info("slices", TensorProto.FLOAT, ["n", rows["planes"], "h", "w"])],
        [helper.make_tensor_value_info("likely", TensorProto.FLOAT, ["n", rows["classes"], "h", "w"])],
        builder.constants,
    )
    whole = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], producer_name="voltome")
    whole.ir_version = _IR_VERSION
    checker.check_model(whole)
    out: bytes = whole.SerializeToString()
    return out


class _Builder:
    """Nodes and constants of a graph, in the order in which they are worked."""

    def __init__(self, weights: Mapping[str, NDArray[Any]]) -> None:
        from onnx import helper, numpy_helper

        self.weights = weights
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._node, self._tensor = helper.make_node, numpy_helper.from_array
        self._constant("twice", np.array([1, 1, 2, 2], dtype=np.float32))

    def _constant(self, name: str, values: NDArray[Any]) -> str:
        self.constants.append(self._tensor(np.ascontiguousarray(values), name))
        return name

    def _add(self, kind: str, inputs: list[str], name: str, **attributes: Any) -> str:
        self.nodes.append(self._node(kind, inputs, [name], name=name, **attributes))
        return name

    def _convolve(self, x: str, name: str, *, norm: str | None = None, over: float = 1.0) -> str:
        """A convolution, with the norm behind it; divided by `over`."""
        weight = self.weights[f"{name}.weight"].astype(np.float64)
        bias = self.weights.get(f"{name}.bias", np.zeros(len(weight))).astype(np.float64)
        if norm is not None:
            gain, offset, mean, variance = (self.weights[f"{norm}.{part}"].astype(np.float64) for part in _NORM)
            scale = gain / np.sqrt(variance + _EPSILON)
            weight, bias = weight * scale[:, None, None, None], (bias - mean) * scale + offset
        inputs = [
            x,
            self._constant(f"{name}.w", (weight / over).astype(np.float32)),
            self._constant(f"{name}.b", (bias / over).astype(np.float32)),
        ]
        edge = weight.shape[2] // 2
        return self._add("Conv", inputs, name, pads=[edge] * 4)

    def _raise(self, x: str, name: str) -> str:
        attributes = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        return self._add("Resize", [x, "", "twice"], name, **attributes)

    def _block(self, x: str, name: str) -> str:
        y = self._convolve(x, f"{name}.conv1", norm=f"{name}.norm1")
        y = self._add("Relu", [y], f"{name}.relu1")
        y = self._convolve(y, f"{name}.conv2", norm=f"{name}.norm2")
        y = self._add("Add", [y, self._convolve(x, f"{name}.around")], f"{name}.sum")
        return self._add("Relu", [y], f"{name}.relu2")

    def _gate(self, coarse: str, fine: str, name: str) -> str:
        hint = self._raise(self._convolve(coarse, f"{name}.coarse"), f"{name}.hint")
        both = self._add("Add", [hint, self._convolve(fine, f"{name}.fine")], f"{name}.both")
        weight = self._convolve(self._add("Relu", [both], f"{name}.relu"), f"{name}.weight")
        return self._add("Mul", [fine, self._add("Sigmoid", [weight], f"{name}.sigmoid")], f"{name}.gated")

    def network(self, depth: int, temperature: float) -> str:
        """All of it, as `network.AttentionUNet.forward`, and the softmax."""
        x, handed = "slices", []
        for level in range(depth + 1):
            if level:
                x = self._add("MaxPool", [x], f"pool{level}", kernel_shape=[2, 2], strides=[2, 2])
            x = self._block(x, f"encoder.{level}")
            handed.append(x)
        for level in reversed(range(depth)):
            gated = self._gate(x, handed[level], f"gates.{level}")
            raised = self._raise(self._convolve(x, f"up.{level}"), f"raised.{level}")
            x = self._block(self._add("Concat", [raised, gated], f"joined.{level}", axis=1), f"decoder.{level}")
        return self._add("Softmax", [self._convolve(x, "head", over=temperature)], "likely", axis=1)
