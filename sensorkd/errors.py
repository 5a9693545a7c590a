"""Errors that a person can act on: what is wrong, where, what was found, what was expected, the cure."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "AdapterError",
    "ArchiveError",
    "BundleError",
    "ConfigError",
    "DeadTermError",
    "GateError",
    "MissingExtraError",
    "RunError",
    "SensorkdError",
    "SplitError",
    "WindowError",
    "nearest",
]


class SensorkdError(Exception):
    """A problem with input, configuration or a model, told so that its reader can mend it.

    Args:
        problem: one sentence saying what is wrong.
        file: the file it is in.
        inside: the path inside that file (an HDF5 object, a configuration key).
        found: what was there.
        expected: what should have been there.
        mend: how to put it right.

    `exit_code` is what the command line returns: 1 when data or model fell short, 2 for unusable input.
    """

    exit_code = 2

    def __init__(
        self,
        problem: str,
        *,
        file: object = None,
        inside: object = None,
        found: object = None,
        expected: object = None,
        mend: str | None = None,
    ) -> None:
        self.problem = problem
        self.file = None if file is None else str(file)
        self.inside = None if inside is None else str(inside)
        self.found = found
        self.expected = expected
        self.mend = mend
        super().__init__(str(self))

    def __str__(self) -> str:
        place = " at ".join(part for part in (self.file, self.inside) if part)
        lines = [f"{place}: {self.problem}" if place else self.problem]
        if self.found is not None:
            lines.append(f"  found: {self.found}")
        if self.expected is not None:
            lines.append(f"  expected: {self.expected}")
        if self.mend:
            lines.append(f"  to mend: {self.mend}")
        return "\n".join(lines)

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only arguments do not survive the default pickling; worker processes need it. What was
        # found may be an exception or a file that cannot be pickled: its text can.
        told = {key: None if value is None else str(value) for key, value in self.__dict__.items()}
        return (_rebuild, (type(self), told))


def _rebuild(kind: type[SensorkdError], state: dict[str, object]) -> SensorkdError:
    error = kind.__new__(kind)
    error.__dict__.update(state)
    error.args = (str(error),)
    return error


class ArchiveError(SensorkdError):
    """A file cannot be read safely or is not what it should be."""


class ConfigError(SensorkdError):
    """A configuration file or an override is wrong."""


class AdapterError(SensorkdError):
    """No adapter, or one that breaks its contract."""


class WindowError(SensorkdError):
    """Windows cannot be laid over these recordings as asked."""


class SplitError(SensorkdError):
    """A split would leak: one group stands on two sides, or a side is empty."""


class DeadTermError(SensorkdError):
    """A loss term was asked for that is identically zero or has no gradient."""


class RunError(SensorkdError):
    """A run folder is missing, incomplete or belongs to another configuration."""


class BundleError(SensorkdError):
    """An edge bundle is incomplete, changed since it was written, or fed the wrong input."""


class GateError(SensorkdError):
    """A model did not pass a gate: the exported one differs from the trained one, a figure fell short."""

    exit_code = 1


class MissingExtraError(SensorkdError):
    """A verb needs packages that are not installed."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Say which known name was probably meant: `"did you mean 'velocity'? "`, or nothing."""
    match = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {match[0]!r}? " if match else ""
