"""The same lines on NumPy, PyTorch or CuPy: which namespace and which Fourier transforms belong to an array."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = Any
"""An array of NumPy, PyTorch or CuPy."""


def find_namespace(array: Array) -> Any:
    """The array API namespace of an array.

    Parameters
    ----------
    array : array
        Of NumPy, PyTorch or CuPy.

    Returns
    -------
    module
        As array_api_compat gives it.
    """
    from array_api_compat import array_namespace

    return array_namespace(array)


def find_transforms(array: Array) -> ModuleType | Any:
    """The Fourier transforms that are fastest for an array, in its own precision.

    Parameters
    ----------
    array : array

    Returns
    -------
    module
        With fft2, ifft2, rfft2 and irfft2: SciPy's for NumPy, else those of the array's own namespace.
    """
    if isinstance(array, np.ndarray):
        from scipy import fft

        return fft
    return _Transforms(find_namespace(array).fft)


class _Transforms:
    """fft2 and its kin of an array API namespace, which has them as fftn; signatures are SciPy's."""

    def __init__(self, fft: Any) -> None:
        self._fft = fft

    def fft2(self, x: Array, overwrite_x: bool = False) -> Array:
        return self._fft.fftn(x, axes=(-2, -1))

    def ifft2(self, x: Array, overwrite_x: bool = False) -> Array:
        return self._fft.ifftn(x, axes=(-2, -1))

    def rfft2(self, x: Array) -> Array:
        return self._fft.rfftn(x, axes=(-2, -1))

    def irfft2(self, x: Array, s: tuple[int, int]) -> Array:
        return self._fft.irfftn(x, s=s, axes=(-2, -1))


def move_like(values: NDArray[Any], like: Array) -> Array:
    """A NumPy array as the kind of array, and on the device, that another one is.

    Parameters
    ----------
    values : NumPy array
    like : array

    Returns
    -------
    array
        Of the values' own dtype.
    """
    if isinstance(like, np.ndarray):
        return values
    from array_api_compat import device

    return find_namespace(like).asarray(values, device=device(like))


def as_numpy(array: Array) -> NDArray[Any]:
    """An array as one of NumPy.

    Parameters
    ----------
    array : array

    Returns
    -------
    NumPy array
    """
    if isinstance(array, np.ndarray):
        return array
    if hasattr(array, "detach"):  # PyTorch
        return np.asarray(array.detach().cpu().numpy())
    return np.asarray(array.get())  # CuPy


def open_device(name: str) -> Any:
    """What `move_like` needs to bring arrays to a device.

    Parameters
    ----------
    name : str
        "cpu" for NumPy; "torch", "cuda" or any device of PyTorch as "torch:NAME"; "cupy".

    Returns
    -------
    array
        An empty one, on that device.

    Raises
    ------
    InputError
        If the package is missing, or there is no such device.
    """
    from voltome.errors import InputError

    if name == "cpu":
        return np.empty(0, np.float32)
    package = "cupy" if name == "cupy" else "torch"
    try:
        if package == "cupy":
            import cupy

            return cupy.empty(0, dtype=cupy.float32)
        import torch

        return torch.empty(0, dtype=torch.float32, device={"torch": "cpu"}.get(name, name.removeprefix("torch:")))
    except ImportError as error:
        raise InputError(f"device {name!r} needs {package} (not installed): install it or use device cpu") from error
    except (RuntimeError, AssertionError) as error:  # a build without CUDA asserts
        raise InputError(f"device must be one that {package} can reach (got {name!r}): use e.g. cpu or cuda") from error
