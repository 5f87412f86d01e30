"""What a check finds, each in one line with the line of the study's file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voltome.settings import Place, join_place
from voltome.study.study_file import find_line

if TYPE_CHECKING:
    from voltome.study.study_file import Study


class Findings:
    """Problems and warnings of a study, in the order in which they are found.

    Parameters
    ----------
    study : Study
    """

    def __init__(self, study: Study) -> None:
        from voltome.io.yaml_file import read_yaml_lines

        self._file = study.path
        self._lines = read_yaml_lines(study.path) if study.path.is_file() else {}
        self.problems: list[str] = []
        self.warnings: list[str] = []

    def refuse(self, place: Place, rule: str) -> None:
        """Add what keeps the study from running.

        Parameters
        ----------
        place : tuple of str or int
            Of the setting.
        rule : str
            What follows the setting's name: rule, value, next step.
        """
        self.problems.append(self._line(place, rule))

    def warn(self, place: Place, rule: str) -> None:
        """Add what the study would be better with.

        Parameters
        ----------
        place : tuple of str or int
        rule : str
        """
        self.warnings.append(self._line(place, rule))

    def _line(self, place: Place, rule: str) -> str:
        return f"{self._file} line {find_line(self._lines, place)}: {join_place(place)} {rule}"
