"""Movies: what is read back, equal bytes, and refusals that leave nothing."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest

from voltome.errors import InputError, ResourceError
from voltome.io import write_movie


def make_frames(count: int = 6, shape: tuple[int, int] = (64, 96)) -> list[np.ndarray]:
    """A red square that wanders over blue."""
    frames = np.zeros((count, *shape, 3), dtype=np.uint8)
    frames[..., 2] = 200
    for i in range(count):
        frames[i, 16:48, 16 + 4 * i : 48 + 4 * i] = (220, 30, 10)
    return list(frames)


def read_movie(path: Path) -> tuple[str, np.ndarray]:
    """What ffmpeg says of a movie, and its pictures, 64 x 96."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-i", str(path), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    ended = subprocess.run(command, capture_output=True, check=True)
    return ended.stderr.decode(), np.frombuffer(ended.stdout, dtype=np.uint8).reshape(-1, 64, 96, 3)


def write_program(folder: Path, lines: str) -> str:
    """A program that stands in for ffmpeg."""
    program = folder / "ffmpeg"
    program.write_text(f"#!/bin/sh\n{lines}\n")
    program.chmod(0o755)
    return str(program)


def test_pictures_come_back(tmp_path):
    frames = make_frames()
    write_movie(tmp_path / "a.mp4", iter(frames), frames_per_second=12)
    about, back = read_movie(tmp_path / "a.mp4")
    assert "h264" in about and "yuv420p(tv, bt709" in about and "12 fps" in about
    assert len(back) == len(frames)
    assert np.abs(np.array(frames, dtype=float) - back).mean() < 6


def test_same_pictures_give_the_same_bytes_without_a_date(tmp_path):
    for name in ("a.mp4", "b.mp4"):
        write_movie(tmp_path / name, make_frames())
    content = (tmp_path / "a.mp4").read_bytes()
    assert content == (tmp_path / "b.mp4").read_bytes()
    header = content.index(b"mvhd") + 4
    assert content[header : header + 12] == bytes(12)  # version, flags, and both times
    assert content.index(b"moov") < content.index(b"mdat")  # a browser starts before it has all


def test_an_existing_movie_is_kept_unless_told(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"mine")
    with pytest.raises(InputError, match="exists"):
        write_movie(tmp_path / "a.mp4", make_frames())
    assert (tmp_path / "a.mp4").read_bytes() == b"mine"
    write_movie(tmp_path / "a.mp4", make_frames(), overwrite=True)
    assert len(read_movie(tmp_path / "a.mp4")[1]) == 6


@pytest.mark.parametrize(
    ("frames", "rule"),
    [
        ([], "holds no picture"),
        (make_frames(2, (63, 96)), "must be even .got 63 x 96"),
        (make_frames(2) + make_frames(1, (32, 32)), "one size"),
        ([np.zeros((64, 96), np.uint8)], "must be .h, w, 3. uint8"),
        ([np.zeros((64, 96, 3))], "uint8"),
    ],
)
def test_pictures_that_do_not_fit_leave_nothing(tmp_path, frames, rule):
    with pytest.raises(InputError, match=rule) as caught:
        write_movie(tmp_path / "new" / "a.mp4", frames)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_no_rate_no_movie(tmp_path):
    with pytest.raises(InputError, match="frames_per_second must be >= 1"):
        write_movie(tmp_path / "a.mp4", make_frames(), frames_per_second=0)


def test_drawing_that_is_interrupted_leaves_nothing(tmp_path):
    def draw() -> Iterator[np.ndarray]:
        yield from make_frames(3)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_movie(tmp_path / "a.mp4", draw())
    assert not list(tmp_path.iterdir())


def test_ffmpeg_that_is_not_there_is_said_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(tmp_path / "gone"))
    with pytest.raises(InputError, match=r"ffmpeg could not write the movie .*gone.*IMAGEIO_FFMPEG_EXE") as caught:
        write_movie(tmp_path / "a.mp4", make_frames())
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_ffmpeg_that_refuses_is_quoted(tmp_path, monkeypatch):
    (tmp_path / "bin").mkdir()
    program = write_program(tmp_path / "bin", "echo \"Unknown encoder 'libx264'\" >&2; echo more >&2; exit 8")
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", program)
    with pytest.raises(InputError, match=r"\(Unknown encoder 'libx264'\)"):
        write_movie(tmp_path / "a.mp4", make_frames(40))
    assert [path.name for path in tmp_path.iterdir()] == ["bin"]


def test_a_full_disk_is_no_fault_of_ffmpeg(tmp_path, monkeypatch):
    (tmp_path / "bin").mkdir()
    program = write_program(tmp_path / "bin", "cat > /dev/null; echo 'av_write: No space left on device' >&2; exit 228")
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", program)
    with pytest.raises(ResourceError, match="no space left on device while writing"):
        write_movie(tmp_path / "a.mp4", make_frames())
    assert [path.name for path in tmp_path.iterdir()] == ["bin"]
