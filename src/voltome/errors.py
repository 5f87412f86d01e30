"""The ways in which a job can fail for a reason its user can mend.

Each message is one line that names the value, the rule and the next step. Anything else that is raised is a bug.
The failure of a single node, particle or block is neither: it is data, a status code in the result.
"""

from __future__ import annotations


class VoltomeError(Exception):
    """Base of voltome's own errors; the command line shows its text alone and exits with code 2."""


class InputError(VoltomeError, ValueError):
    """A value, file or parameter breaks a rule: the user has to give another one."""


class ResourceError(VoltomeError, OSError):
    """The machine cannot do it: no permission, a full disk, a missing extra."""

    def __str__(self) -> str:  # OSError would print its arguments as a tuple
        return " ".join(str(argument) for argument in self.args)


class DamagedError(ResourceError):
    """A file that voltome wrote no longer holds what was written: it has to be made again.

    Parameters
    ----------
    message : str
    path : str
        The file; also when the error comes from another process.
    """

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(message)
        self.path = path
