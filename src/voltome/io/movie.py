"""Movies: H.264 in MP4, which every browser and presentation plays."""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
import tempfile
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from voltome.errors import InputError
from voltome.io.staging import staged_file

_CRF = 19  # 18 cannot be told from the original by eye
_COLOURS = "scale=out_color_matrix=bt709:out_range=tv:flags=accurate_rnd+full_chroma_int+bitexact"
_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EROFS)


def write_movie(
    path: str | Path,
    frames: Iterable[NDArray[np.uint8]],
    *,
    frames_per_second: int = 15,
    overwrite: bool = False,
) -> None:
    """Write pictures as a movie.

    One thread encodes, and no date or program name is written: the same pictures give the same bytes.

    Parameters
    ----------
    path : str or Path
        MP4 whatever its suffix.
    frames : iterable of (h, w, 3) uint8
        Red, green, blue; all of one size, even in both directions. Taken one by one.
    frames_per_second : int
    overwrite : bool
        Replace an existing file.

    Returns
    -------
    None
        The file stands when this returns.

    Raises
    ------
    InputError
        If a picture does not fit, there is none, ffmpeg cannot be run or refuses, or the file exists and `overwrite`
        is False.
    ResourceError
        If the disk is full or there is no permission.
    """
    if frames_per_second < 1:
        raise InputError(f"frames_per_second must be >= 1 (got {frames_per_second}): 15 is usual")
    with staged_file(path, overwrite=overwrite) as part:
        following = iter(frames)
        first = next(following, None)
        if first is None:
            raise InputError(f"frames holds no picture for {path}: a movie needs one at least")
        _check_frame(first, first.shape)
        with tempfile.TemporaryFile() as said:
            process = _start_ffmpeg(part, first.shape, frames_per_second, said)
            try:
                _feed(process, chain((first,), following), first.shape)
                code = process.wait()
            finally:  # nobody waits for a movie that failed or was interrupted
                process.kill()
                process.wait()
                _close(process)
            if code:
                _refuse(code, said)


def _check_frame(frame: NDArray[np.uint8], shape: tuple[int, ...]) -> None:
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or not frame.size:
        raise InputError(f"a frame must be (h, w, 3) uint8 (got {frame.shape} {frame.dtype}): convert it")
    if frame.shape[0] % 2 or frame.shape[1] % 2:
        raise InputError(
            f"a frame's sides must be even (got {frame.shape[0]} x {frame.shape[1]}): H.264 needs it, crop it"
        )
    if frame.shape != shape:
        raise InputError(f"all frames must be of one size (got {frame.shape} after {shape}): draw them alike")


def _start_ffmpeg(path: Path, shape: tuple[int, ...], rate: int, said: IO[bytes]) -> subprocess.Popen[bytes]:
    import imageio_ffmpeg

    try:
        program = imageio_ffmpeg.get_ffmpeg_exe()
        return subprocess.Popen(
            [
                program, "-nostdin", "-y", "-v", "error",
                "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{shape[1]}x{shape[0]}", "-r", str(rate), "-i", "pipe:0",
                "-an", "-vf", _COLOURS, "-filter_threads", "1",
                "-c:v", "libx264", "-threads", "1", "-preset", "medium", "-crf", str(_CRF), "-pix_fmt", "yuv420p",
                "-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709", "-color_range", "tv",
                "-map_metadata", "-1", "-fflags", "+bitexact", "-flags:v", "+bitexact",
                "-movflags", "+faststart", "-f", "mp4", f"file:{path}",
            ],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=said,
        )  # fmt: skip
    except (OSError, RuntimeError) as error:  # not there, or not a program of this machine
        raise InputError(_explain(" ".join(str(error).split()))) from error


def _feed(process: subprocess.Popen[bytes], frames: Iterable[NDArray[np.uint8]], shape: tuple[int, ...]) -> None:
    """Hand over all pictures; where ffmpeg has given up its own words tell why."""
    assert process.stdin is not None
    for frame in frames:
        _check_frame(frame, shape)
        try:
            process.stdin.write(frame.tobytes())
        except BrokenPipeError:
            break
    _close(process)


def _close(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(BrokenPipeError):
        if process.stdin is not None:
            process.stdin.close()


def _refuse(code: int, said: IO[bytes]) -> None:
    """Raise what ffmpeg complained of: as the system's own refusal where it is one."""
    said.seek(0)
    text = said.read().decode("utf-8", "replace")
    for number in _DISK_ERRORS:
        if os.strerror(number) in text:
            raise OSError(number, os.strerror(number))
    lines = text.split("\n")
    last = next((line.strip() for line in lines if line.strip()), f"it ended with code {code}")
    raise InputError(_explain(last))


def _explain(cause: str) -> str:
    return (
        f"ffmpeg could not write the movie ({cause}): install imageio-ffmpeg for this system, "
        "or let IMAGEIO_FFMPEG_EXE name an ffmpeg with libx264"
    )
