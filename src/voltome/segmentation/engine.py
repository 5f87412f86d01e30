"""What runs a network's graph: OpenVINO where it is installed, else ONNX Runtime; PyTorch on a GPU."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError, ResourceError
from voltome.segmentation.graph import build_graph
from voltome.segmentation.model import Model

Singles = NDArray[np.float32]
Run = Callable[[Singles], Singles]

ENGINES = ("auto", "openvino", "onnxruntime", "torch", "cuda")
"""What `choose_engine` takes."""


def choose_engine(name: str = "auto") -> str:
    """The engine that a name stands for on this machine.

    Parameters
    ----------
    name : {"auto", "openvino", "onnxruntime", "torch", "cuda"}
        auto: OpenVINO (bfloat16 where the processor has it) if it is installed, else ONNX Runtime (float32).

    Returns
    -------
    str

    Raises
    ------
    InputError
        If the name is none of these, or there is no such GPU.
    ResourceError
        If its package is not installed.
    """
    if name not in ENGINES:
        raise InputError(f"engine must be one of {', '.join(ENGINES)} (got {name!r})")
    if name == "auto":
        return "openvino" if importlib.util.find_spec("openvino") else "onnxruntime"
    package = {"cuda": "torch"}.get(name, name)
    if importlib.util.find_spec(package) is None:
        extra = "openvino" if name == "openvino" else "train"
        raise ResourceError(f"{package} is not installed: pip install 'voltome[{extra}]', or take another engine")
    if name == "cuda":
        import torch

        if not torch.cuda.is_available():
            raise InputError("there is no GPU that PyTorch can use: take --engine auto")
    return name


def open_engine(model: Model, member: int = 0, *, engine: str = "auto", threads: int = 1) -> Run:
    """A network that is ready to be run.

    Parameters
    ----------
    model : Model
        Of kind "network".
    member : int
        Of an ensemble.
    engine : str
        As of `choose_engine`.
    threads : int

    Returns
    -------
    callable
        From slices (N, planes, h, w) float32, h and w multiples of 2**depth, to probabilities (N, classes, h, w).

    Raises
    ------
    InputError, ResourceError
        As `choose_engine`; and if weights are missing.
    """
    chosen = choose_engine(engine)
    if chosen == "openvino":
        return _open_openvino(build_graph(model, member), threads)
    if chosen == "onnxruntime":
        return _open_onnxruntime(build_graph(model, member), threads)
    return _open_torch(model, member, "cuda" if chosen == "cuda" else "cpu", threads)


def _open_openvino(graph: bytes, threads: int) -> Run:
    import openvino

    core = openvino.Core()
    capable = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    wanted = {
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "bf16" if capable else "f32",
    }
    compiled = core.compile_model(core.read_model(graph), "CPU", wanted)

    def run(slices: Singles) -> Singles:
        request = compiled.create_infer_request()
        out: Singles = np.array(request.infer([slices])[0])
        return out

    return run


def _open_onnxruntime(graph: bytes, threads: int) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.enable_cpu_mem_arena = False  # it never gives back what the largest slab took
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    def run(slices: Singles) -> Singles:
        out: Singles = session.run(["likely"], {"slices": slices})[0]
        return out

    return run


def _open_torch(model: Model, member: int, device: str, threads: int) -> Run:
    import torch

    from voltome.segmentation.network import AttentionUNet

    settings = model.settings
    network = AttentionUNet(settings["planes"], len(model.classes), settings["base"], settings["depth"])
    prefix = f"{member}."
    weights = {n.removeprefix(prefix): torch.tensor(a) for n, a in model.arrays.items() if n.startswith(prefix)}
    network.load_state_dict(weights)
    last = torch.channels_last
    runner: Any = network.eval()
    runner = runner.to(device, memory_format=last)
    temperature = float(model.calibration.get("temperature", 1.0))
    if device == "cpu":
        torch.set_num_threads(threads)

    def run(slices: Singles) -> Singles:
        with torch.inference_mode(), torch.autocast(device, torch.bfloat16, enabled=device != "cpu"):
            scores = runner(torch.from_numpy(slices).to(device, memory_format=last))
        out: Singles = torch.softmax(scores.float() / temperature, dim=1).cpu().numpy()
        return out

    return run
