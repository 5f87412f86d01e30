"""TIFF volumes: multi-page, BigTIFF, ImageJ and OME files, and folders of slices."""

from __future__ import annotations

import contextlib
import itertools
import logging
import math
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError, ResourceError
from voltome.grid import Block, Shape3
from voltome.io.flat import FlatReader
from voltome.io.natural_order import natural_key
from voltome.io.tiff_chain import check_chain, check_end, cut_short
from voltome.io.volume import BlockReader, check_volume
from voltome.io.voxel_size import length_m

if TYPE_CHECKING:
    import tifffile

TIFF_SUFFIXES = (".tif", ".tiff", ".btf", ".tf8")


class SegmentReader:
    """TIFF slices in compressed strips or tiles (a `BlockReader`): only those that meet the block are decoded.

    Parameters
    ----------
    format : str
    shape : tuple of int
    dtype : numpy.dtype
    paths : sequence of Path
        The file of each slice.
    pages : sequence of tifffile pages
        The page of each slice; the files may be closed.
    voxel_sizes_m : sequence of float or None
    """

    def __init__(
        self,
        format: str,
        shape: Shape3,
        dtype: np.dtype[Any],
        paths: Sequence[Path],
        pages: Sequence[Any],
        voxel_sizes_m: Sequence[float | None],
    ) -> None:
        self.format, self.shape, self.dtype, self.voxel_sizes_m = format, shape, dtype, voxel_sizes_m
        self._paths, self._pages = paths, pages
        key = pages[0].keyframe
        self._segment = (key.tilelength, key.tilewidth) if key.is_tiled else (min(key.rowsperstrip, shape[1]), shape[2])
        self.chunk_shape: Shape3 = (1, *self._segment)

    def read(self, block: Block) -> NDArray[Any]:
        """Decode the strips or tiles that meet the block."""
        z = block[0]
        out = np.zeros([edge.stop - edge.start for edge in block], dtype=self.dtype)
        for path, indices in itertools.groupby(range(z.start, z.stop), key=self._paths.__getitem__):
            with open(path, "rb", buffering=0) as file:
                for i in indices:
                    self._read_page(file, self._pages[i], block, out[i - z.start])
        return out

    def _read_page(self, file: Any, page: Any, block: Block, out: NDArray[Any]) -> None:
        y, x = block[1:]
        length, width = self._segment
        across = math.ceil(self.shape[2] / width)
        tables = {} if page.jpegtables is None else {"jpegtables": page.jpegtables}
        for row in range(y.start // length, math.ceil(y.stop / length)):
            for column in range(x.start // width, math.ceil(x.stop / width)):
                index = row * across + column
                if not page.databytecounts[index]:
                    continue  # a sparse file leaves out what is zero
                file.seek(page.dataoffsets[index])
                data = file.read(page.databytecounts[index])
                try:
                    tile = page.decode(data, index, **tables)[0][0, :, :, 0]
                except Exception as error:  # whatever a codec raises on broken bytes
                    raise InputError(
                        f"{file.name} is damaged (slice data at byte {page.dataoffsets[index]}): copy it again"
                    ) from error
                _paste(out, tile, row * length - y.start, column * width - x.start)

    def close(self) -> None:
        """Nothing stays open."""


def _paste(out: NDArray[Any], tile: NDArray[Any], top: int, left: int) -> None:
    """Copy the part of a tile that lies within `out`; its corner stands at (top, left) of `out`."""
    y0, x0 = max(top, 0), max(left, 0)
    y1, x1 = min(top + tile.shape[0], out.shape[0]), min(left + tile.shape[1], out.shape[1])
    out[y0:y1, x0:x1] = tile[y0 - top : y1 - top, x0 - left : x1 - left]


def open_tiff(path: Path, *, flat: bool = False) -> BlockReader:
    """Reader of a TIFF file that holds one volume.

    Parameters
    ----------
    path : Path
    flat : bool
        A single image is taken as a volume of one slice.

    Returns
    -------
    BlockReader

    Raises
    ------
    InputError
        If it is no TIFF, is cut short, is coloured, or holds no single volume.
    """
    with _opened(path) as tif:
        series = _only_series(tif, path)
        slices, ny, nx = _series_shape(tif, series, path, flat)
        shape = check_volume((slices, ny, nx), series.dtype, str(path))
        sizes = _voxel_sizes(tif)
        if series.dataoffset is not None:
            step = ny * nx * series.dtype.itemsize
            offsets = range(series.dataoffset, series.dataoffset + slices * step, step)
            check_end(path, offsets[-1] + step)
            return FlatReader("tiff", shape, series.dtype.newbyteorder(tif.byteorder), [path] * slices, offsets, sizes)
        pages: list[Any] = list(series.pages)
        if len(pages) != slices or any(page is None for page in pages):
            raise cut_short(path)
        paths = [Path(page.parent.filehandle.path) for page in pages]  # OME volumes may lie in several files
        return _page_reader("tiff", shape, paths, pages, sizes)


def open_tiff_folder(path: Path) -> BlockReader:
    """Reader of a folder of TIFF slices in natural order (slice_9 before slice_10).

    Parameters
    ----------
    path : Path

    Returns
    -------
    BlockReader

    Raises
    ------
    InputError
        If there are no TIFF files, they differ in shape or type, or one is not a single grey slice.
    """
    files = [file for file in path.iterdir() if file.suffix.lower() in TIFF_SUFFIXES and not file.name.startswith(".")]
    files.sort(key=lambda file: natural_key(file.name))
    if not files:
        raise InputError(f"{path} must hold TIFF slices (it holds none): give the folder with the .tif files")
    pages: list[Any] = []
    sizes: list[float | None] = []
    for file in files:
        with _opened(file) as tif:
            if len(tif.pages) != 1 or len(tif.pages[0].shape) != 2:
                raise InputError(f"{file} must be one grey slice (it has shape {tif.series[0].shape}): remove it")
            page = tif.pages[0]
            sizes = sizes if pages else _voxel_sizes(tif)
            page.decode  # noqa: B018  built while the file is open
        pages.append(page)
        if (page.shape, page.dtype) != (pages[0].shape, pages[0].dtype):
            raise InputError(
                f"slices must agree in shape and type ({file} is {page.shape} {page.dtype}, {files[0].name} is "
                f"{pages[0].shape} {pages[0].dtype}): remove what does not belong to the volume"
            )
    shape = check_volume((len(files), *pages[0].shape), pages[0].dtype, str(path))
    return _page_reader("tiff folder", shape, files, pages, sizes)


def _page_reader(
    format: str, shape: Shape3, paths: list[Path], pages: list[Any], sizes: list[float | None]
) -> BlockReader:
    ends: dict[Path, int] = {}
    for path, page in zip(paths, pages, strict=True):
        end = max(map(sum, zip(page.dataoffsets, page.databytecounts, strict=True)), default=0)
        ends[path] = max(end, ends.get(path, 0))
    for path, end in ends.items():
        check_end(path, end)
    first = pages[0].keyframe
    orders = {page.parent.byteorder for page in pages}
    keys = [page.keyframe for page in pages]
    if len(orders) == 1 and all(key.is_final and key.bitspersample == 8 * key.dtype.itemsize for key in keys):
        offsets = [page.dataoffsets[0] for page in pages]
        return FlatReader(format, shape, first.dtype.newbyteorder(orders.pop()), paths, offsets, sizes)
    if len({(key.tilelength, key.tilewidth, key.rowsperstrip) for key in keys}) > 1:
        raise InputError(f"slices must be stored alike ({paths[0].parent} mixes strips or tiles): convert them first")
    return SegmentReader(format, shape, first.dtype, paths, pages, sizes)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tifffile.TiffFile]:
    """A TIFF file whose structure is whole; tifffile's own messages give way to one line of ours."""
    import tifffile

    with _silent():
        check_chain(path)
        try:
            with tifffile.TiffFile(path) as tif:
                len(tif.pages)
                yield tif
        except (InputError, ResourceError):
            raise
        except OSError as error:
            raise ResourceError(f"{path} could not be read ({error.strerror}): check its permissions") from error
        except Exception as error:  # broken bytes raise anything: struct.error, KeyError, ValueError ...
            reason = " ".join(str(error).split())
            raise InputError(f"{path} is not a TIFF that can be read ({reason}): save it again") from error


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    logger = logging.getLogger("tifffile")

    def refuse(record: logging.LogRecord) -> bool:
        return False

    logger.addFilter(refuse)
    try:
        yield
    finally:
        logger.removeFilter(refuse)


def _only_series(tif: tifffile.TiffFile, path: Path) -> tifffile.TiffPageSeries:
    series = tif.series
    if len(series) != 1:
        shapes = ", ".join(str(one.shape) for one in series[:4])
        raise InputError(f"{path} must hold one volume (it holds {len(series)} images: {shapes}): save one by itself")
    return series[0]


def _series_shape(tif: tifffile.TiffFile, series: tifffile.TiffPageSeries, path: Path, flat: bool) -> Shape3:
    """Slices, rows and columns of a series, whatever its axes are called."""
    axes, shape = series.get_axes(squeeze=False), series.get_shape(squeeze=False)
    key = series.keyframe
    if key.samplesperpixel != 1 or key.photometric == 2:
        raise InputError(f"{path} must be grey (it has {key.samplesperpixel} colours a pixel): convert it to grey")
    shape = shape[: len(axes.rstrip("S"))]
    leading = [n for n in shape[:-2] if n != 1]
    if len(leading) > 1 or key.imagedepth != 1:
        raise InputError(
            f"a volume must have three axes z, y, x ({path} has axes {axes}, shape {tuple(shape)}): save one time step "
            "or channel by itself"
        )
    imagej = tif.imagej_metadata or {}
    shaped = (tif.shaped_metadata or ({},))[0].get("shape", ())
    slices = leading[0] if leading else 1
    if max(imagej.get("images", 1), math.prod(shaped[:-2])) > slices:
        raise cut_short(path)
    if slices == 1 and "slices" not in imagej and len(shaped) < 3 and not flat:
        check_volume(shape[-2:], series.dtype, str(path))  # a single image is two-dimensional unless the file objects
    return slices, shape[-2], shape[-1]


def _voxel_sizes(tif: tifffile.TiffFile) -> list[float | None]:
    """Sizes from the OME-XML, or as ImageJ keeps them: spacing, and resolution in pixels per unit."""
    if tif.is_ome and tif.ome_metadata:
        return _ome_voxel_sizes(tif.ome_metadata)
    imagej = tif.imagej_metadata or {}
    unit = str(imagej.get("unit", ""))
    first: Any = tif.pages[0]
    tags = first.tags
    resolutions = [tags[name].value for name in ("YResolution", "XResolution") if name in tags]
    sizes = [imagej.get("spacing")] + [below / above for above, below in resolutions if above]
    return [length_m(float(size), unit) for size in sizes if size is not None]


def _ome_voxel_sizes(text: str) -> list[float | None]:
    pixels = [item for item in ElementTree.fromstring(text).iter() if item.tag.rpartition("}")[2] == "Pixels"]
    return [
        length_m(float(value), item.get(f"PhysicalSize{axis}Unit", "µm"))
        for item in pixels[:1]
        for axis in "ZYX"
        if (value := item.get(f"PhysicalSize{axis}")) is not None
    ]
