"""All checks there are, and the choice among them."""

from __future__ import annotations

from collections.abc import Iterable

from sensorkd.checks import across, alignment, clocks, container, gravity, labels, samples, sensors, storage
from sensorkd.checks.finding import IMPORTANCES, Check, Importance
from sensorkd.errors import ConfigError, nearest

__all__ = ["CHECKS", "select_checks"]

FAMILIES = (container, storage, sensors, samples, gravity, clocks, alignment, labels, across)
CHECKS: dict[str, Check] = {check.id: check for family in FAMILIES for check in family.CHECKS}


def select_checks(
    select: Iterable[str] = (), ignore: Iterable[str] = (), importance: Importance = "hint"
) -> frozenset[str]:
    """Ids of the checks to make.

    Args:
        select: these only; none: all. ignore: not these.
        importance: none that matter less than this.

    Raises:
        ConfigError: there is no such check.
    """
    wanted, unwanted = list(select), set(ignore)
    for id_ in [*wanted, *unwanted]:
        if id_ not in CHECKS:
            raise ConfigError(
                "there is no such check",
                found=repr(id_),
                expected=f"one of {', '.join(CHECKS)}",
                mend=f"{nearest(id_, CHECKS)}`sensorkd validate --list` tells of all",
            )
    among = IMPORTANCES[: IMPORTANCES.index(importance) + 1]
    chosen = set(wanted or CHECKS) - unwanted
    return frozenset(id_ for id_ in chosen if CHECKS[id_].importance in among)
