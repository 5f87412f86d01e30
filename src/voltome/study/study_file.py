"""The study's file: read, checked, and what is wrong said with its line."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from voltome.errors import InputError

if TYPE_CHECKING:
    from voltome.settings import Place
    from voltome.study.settings import StudySettings

STUDY_FILE = "study.yaml"


class StudyError(InputError):
    """Settings of a study break rules; the message is the first of them.

    Parameters
    ----------
    lines : sequence of str
        What is wrong, at least one, each with the line of the file.
    """

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__(lines[0])
        self.lines = tuple(lines)


@dataclass(frozen=True)
class Study:
    """Settings of a study, and where their file is.

    Parameters
    ----------
    settings : StudySettings
    path : Path
        Of the file.
    folder : Path
        Of the file: what relative paths in it start from.
    """

    settings: StudySettings
    path: Path
    folder: Path

    def locate(self, name: str) -> str:
        """Path that a name in the study stands for.

        Parameters
        ----------
        name : str
            As in the study, `file.h5::/path` too.

        Returns
        -------
        str
            Relative names start from the study's folder.

        Examples
        --------
        >>> from voltome.study.settings import StudySettings
        >>> settings = StudySettings.model_construct()
        >>> Study(settings, Path("film/study.yaml"), Path("film")).locate("T0.h5::/entry/data")
        'film/T0.h5::/entry/data'
        """
        place, mark, inner = name.partition("::")
        return f"{os.fspath(self.folder / place)}{mark}{inner}"


def load_study(path: str | Path) -> Study:
    """Read a study's file and check it; the files that it names are not opened.

    Parameters
    ----------
    path : str or Path
        The file, or a folder that holds study.yaml.

    Returns
    -------
    Study

    Raises
    ------
    InputError
        If the file is missing or is no YAML; as `StudyError`, with the lines of all of them, if settings break rules.
    ResourceError
        If there is no permission to read it.
    """
    from voltome.io.yaml_file import read_yaml, read_yaml_lines
    from voltome.settings import SettingError, validate_settings
    from voltome.study.settings import StudySettings

    file = Path(path) / STUDY_FILE if Path(path).is_dir() else Path(path)
    if not file.exists():
        raise InputError(f"{file} does not exist: give a study.yaml or its folder, or make one with voltome new")
    values = read_yaml(file)
    try:
        return Study(validate_settings(StudySettings, values), file, file.parent)
    except SettingError as error:
        lines = read_yaml_lines(file)
        found = [f"{file} line {find_line(lines, place)}: {text}" for place, text in error.problems]
        raise StudyError(found) from None


def find_line(lines: Mapping[Place, int], place: Place) -> int:
    """Line of a setting, or of the nearest group around it where it was left out.

    Parameters
    ----------
    lines : mapping
        As `voltome.io.yaml_file.read_yaml_lines` gives them.
    place : tuple of str or int

    Returns
    -------
    int
    """
    while place and place not in lines:
        place = place[:-1]
    return lines.get(place, 1)
