"""The files of a scan, as its study says they are to be read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from voltome.grid import VolumeSource
from voltome.study.study_file import Study


@dataclass(frozen=True)
class SourceFile:
    """A volume in a file, said so shortly that it can be sent to a worker.

    Parameters
    ----------
    name : str
        As `voltome.io.open_volume` takes it.
    axes, flip : str
        As in `VolumeSettings`.
    shape : tuple of int or None
        Of a raw file, in its own order.
    dtype : str or None
    """

    name: str
    axes: str
    flip: str
    shape: tuple[int, int, int] | None = None
    dtype: str | None = None

    @contextmanager
    def open(self) -> Iterator[VolumeSource]:
        """The volume along z, y, x while the block runs.

        Raises
        ------
        InputError, ResourceError
            As `voltome.io.open_volume`.
        """
        from voltome import io
        from voltome.io.orientation import OrientedVolume

        with io.open_volume(self.name, shape=self.shape, dtype=self.dtype, voxel_size_m=1.0) as volume:
            yield OrientedVolume(volume, axes=self.axes, flip=self.flip)


def describe_source(study: Study, name: str) -> SourceFile:
    """How a volume that the study names is read.

    Parameters
    ----------
    study : Study
    name : str
        As in the study; of a scan or of a mask.

    Returns
    -------
    SourceFile
    """
    volumes = study.settings.volumes
    raw = name.endswith((".raw", ".bin", ".vol"))
    return SourceFile(
        study.locate(name),
        volumes.axes,
        volumes.flip,
        volumes.shape if raw else None,
        volumes.dtype if raw else None,
    )
