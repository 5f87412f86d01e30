"""The folder of a simulated experiment: its settings on disk, and the same twin built from them again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from voltome import __version__
from voltome.errors import InputError

if TYPE_CHECKING:
    from voltome.twin.configuration import SizeName, TwinSettings
    from voltome.twin.experiment import ElectrodeTwin

TWIN_FILE = "twin.yaml"
_MADE_BY = "made_by"  # in twin.yaml, beside the settings
_PROBES = 5  # along each axis, for the fingerprint of a step's motion
_DECIMALS = 4  # of micrometres and of voxels: far above rounding, far below what an image shows


def load_settings(
    path: str | Path | None = None, *, size: SizeName | None = None, seed: int | None = None
) -> TwinSettings:
    """Settings from a YAML file, a size and a seed.

    Parameters
    ----------
    path : str or Path, optional
        As `voltome.twin.parse_settings` takes its content; the twin.yaml of a simulated experiment will do.
    size : {"tiny", "small", "paper"}, optional
        What the file starts from; by default what it says itself, else "small".
    seed : int, optional
        Wins over the file's.

    Returns
    -------
    TwinSettings

    Raises
    ------
    InputError
        If the file or a setting breaks a rule, or the file says itself what the size would.
    ResourceError
        If there is no permission to read it.
    """
    from voltome import io
    from voltome.twin.setting_mapping import parse_settings

    values: dict[str, Any] = {} if path is None else io.read_yaml(path)
    values.pop(_MADE_BY, None)
    if size is not None:
        own = [name for name in ("shape", "voxel_size_m", "steps") if name in values]
        if own:
            raise InputError(f"a size sets the {own[0]} that {path} has as well (got {size}): leave out one of them")
        values["size"] = size
    if seed is not None:
        values["seed"] = seed
    try:
        return parse_settings(values)
    except InputError as error:
        raise error if path is None else InputError(f"{path}: {error}") from None


def format_settings(settings: TwinSettings) -> str:
    """Settings as YAML with a comment above each: what it is and what it may be.

    Parameters
    ----------
    settings : TwinSettings

    Returns
    -------
    str
        `load_settings` gives the same settings again; lines may be left out, which then keep the default.
    """
    from voltome import io
    from voltome.twin.setting_mapping import dump_settings

    heading = "Settings of a digital twin: voltome simulate TWIN.yaml --out DIR. What is left out keeps its default."
    return io.format_yaml(dump_settings(settings), comments=describe_settings(), heading=heading)


def schema_text() -> str:
    """JSON schema of a file of settings, for editors.

    Returns
    -------
    str
        JSON Schema, draft 2020-12.
    """
    from voltome.twin.setting_mapping import make_schema

    return json.dumps(make_schema(), indent=2, ensure_ascii=False) + "\n"


def describe_settings() -> dict[str, str]:
    """What each setting of a twin is and may be, by its path in the file.

    Returns
    -------
    dict of str
        `{"scan.noise": "sd of ... (0 to 1)", ...}`.
    """
    from voltome.settings import describe_schema
    from voltome.twin.setting_mapping import make_schema

    return describe_schema(make_schema())


def write_twin(folder: Path, twin: ElectrodeTwin) -> None:
    """Write twin.yaml: the settings, and a fingerprint of what this version builds from them.

    Parameters
    ----------
    folder : Path
    twin : ElectrodeTwin

    Returns
    -------
    None
        The file stands when this returns.

    Raises
    ------
    ResourceError
        If it cannot be written.
    """
    from voltome import io
    from voltome.twin.setting_mapping import dump_settings

    made_by = {"voltome": __version__, **_fingerprint(twin, range(len(twin.settings.steps)))}
    io.write_yaml(
        folder / TWIN_FILE,
        {**dump_settings(twin.settings), _MADE_BY: made_by},
        comments=describe_settings() | {_MADE_BY: "version, and fingerprints of what it built from these settings"},
        heading="The digital twin in this folder; voltome simulate takes this file and makes the same one again.",
    )


def open_twin(folder: str | Path, steps: Sequence[str | None] = ()) -> tuple[ElectrodeTwin, tuple[int, ...]]:
    """Build the twin of a simulated experiment again.

    Parameters
    ----------
    folder : str or Path
        What `voltome simulate` wrote.
    steps : sequence of str or None
        Names of the steps that are wanted; None for the first.

    Returns
    -------
    twin : ElectrodeTwin
    numbers : tuple of int
        Of the steps.

    Raises
    ------
    InputError
        If it is no such folder, has no such step, or this version builds another electrode or motion from its settings.
    ResourceError
        If there is no permission to read it.
    """
    from voltome import io
    from voltome.twin.experiment import ElectrodeTwin

    path = Path(folder) / TWIN_FILE
    if not path.is_file():
        fault = "it has no twin.yaml" if Path(folder).is_dir() else "there is no such folder"
        raise InputError(f"{folder} must be a folder that voltome simulate wrote ({fault}): give another one")
    settings = load_settings(path)
    numbers = tuple(0 if name is None else settings.find_step(name) for name in steps)
    twin = ElectrodeTwin(settings)
    made_by = io.read_yaml(path).get(_MADE_BY)
    wanted: dict[str, Any] = made_by if isinstance(made_by, dict) else {}
    found = _fingerprint(twin, numbers)
    for name, value in found.items():
        if wanted.get(name) != value:
            before = wanted.get("voltome")
            fault, cure = "its settings, or voltome, were changed", "undo that, or simulate again"
            if before != __version__:
                fault = f"voltome {before or 'of an unknown version'} wrote it, this is {__version__}"
                cure = "use that version, or simulate again"
            raise InputError(
                f"{path} must give the {name.replace('_', ' ')} that it was written with ({fault}): {cure}"
            )
    return twin, numbers


def _fingerprint(twin: ElectrodeTwin, numbers: Iterable[int]) -> dict[str, str]:
    """Hashes of the electrode, and of where each step brings points of the whole field and what has reacted."""
    structure = vars(twin.structure)
    out = {"electrode": _hash([np.asarray(structure[name]) for name in sorted(structure)])}
    axes = [np.linspace(0.05, 0.95, _PROBES) * n * twin.voxel_um for n in twin.settings.shape]
    probes = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    for number in numbers:
        arrived, _, _ = twin.move_matter(number, probes)
        name = twin.settings.steps[number].name
        out[f"step_{name}"] = _hash([arrived, twin.step(number).matter.reacted])
    return out


def _hash(arrays: Iterable[NDArray[Any]]) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        whole = np.rint(array * 10.0**_DECIMALS) if array.dtype.kind == "f" else array
        digest.update(f"{whole.shape}".encode() + whole.astype("<i8").tobytes())
    return digest.hexdigest()
