"""What a study consists of: results, each with the key of all that it depends on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from voltome.study.study_file import Study

if TYPE_CHECKING:
    from voltome.study.job import Job


@dataclass(frozen=True)
class Result:
    """One result of a study, as it is planned.

    Parameters
    ----------
    step, subject : str
        What is done, and with which scans; `step/subject` names the result.
    parameters : mapping
        Plain values that decide what comes out.
    inputs : tuple of str
        Names of the results that it is made from, and waits for.
    optional : tuple of str
        Names of results that it is made from as well where they could be made.
    sources : mapping of str to str
        What is read from the user's files: role to name in the study.
    after : tuple of str
        Names of results that have to stand before this one is begun, but do not decide what comes out.
    """

    step: str
    subject: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    inputs: tuple[str, ...] = ()
    sources: Mapping[str, str] = field(default_factory=dict)
    optional: tuple[str, ...] = ()
    after: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Name of the result."""
        return f"{self.step}/{self.subject}"

    def settle(self, standing: Iterable[str]) -> Result:
        """The same result, with those of its optional inputs that stand among its inputs."""
        known = set(standing)
        return replace(self, inputs=self.inputs + tuple(n for n in self.optional if n in known), optional=())


@dataclass(frozen=True)
class Step:
    """A step of a study: what results it gives, and the function that makes one.

    Parameters
    ----------
    name : str
    version : int
        Raised when the same parameters give other numbers.
    plan : callable
        Results of a study, in order.
    make : callable
        Makes one result.
    """

    name: str
    version: int
    plan: Callable[[Study], Iterable[Result]]
    make: Callable[[Job], None]


def make_key(result: Result, version: int, input_keys: Mapping[str, str], digests: Mapping[str, str]) -> str:
    """Key of a result: equal where the same would come out again.

    Parameters
    ----------
    result : Result
    version : int
        Of its step.
    input_keys : mapping of str to str
        Key of each of its inputs.
    digests : mapping of str to str
        SHA-256 of each of its sources, by role.

    Returns
    -------
    str
        64 hexadecimal digits.

    Examples
    --------
    >>> make_key(Result("strain", "T1", {"measure": "small"}), 1, {}, {})[:12]
    'ea73af5d64fe'
    """
    depends = {
        "step": result.step,
        "subject": result.subject,
        "version": version,
        "parameters": result.parameters,
        "inputs": {name: input_keys[name] for name in result.inputs},
        "sources": dict(digests),
    }
    return hashlib.sha256(json.dumps(depends, sort_keys=True, allow_nan=False).encode()).hexdigest()
