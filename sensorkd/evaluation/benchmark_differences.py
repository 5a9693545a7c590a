"""Differences between two rows of a benchmark, paired by seed, group and draw."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sensorkd.evaluation.benchmark_intervals import (
    compared,
    drawn_scores,
    interval,
    make_draws,
    students_t,
)
from sensorkd.evaluation.benchmark_judged import JudgedRow, Place
from sensorkd.evaluation.benchmark_scores import scores

__all__ = ["Pair"]


@dataclass(frozen=True)
class Pair:
    """A row and another one of the same budget and sensors, on the seeds and groups that both have."""

    place: Place
    own: JudgedRow
    other: JudgedRow

    @property
    def seeds(self) -> list[int]:
        """Those of both."""
        return sorted(set(self.own.tallies) & set(self.other.tallies))

    @property
    def groups(self) -> list[str]:
        """Those of both, in all of these seeds."""
        return sorted(set(self.own.groups(self.seeds)) & set(self.other.groups(self.seeds)))

    @property
    def unlike(self) -> list[str]:
        """Groups in which they were judged by other windows, or other labels: nothing is paired then."""
        return [
            name
            for name in self.groups
            if any(self.own.windows[seed][name] != self.other.windows[seed][name] for seed in self.seeds)
        ]

    def unlike_told(self) -> str:
        """In which groups they are unlike."""
        unlike = self.unlike
        where = ", ".join(unlike[:3]) + (" ..." if len(unlike) > 3 else "")
        return f"in {len(unlike)} of {len(self.groups)} groups: {where}"

    def difference(self) -> dict[str, Any]:
        """The row less the other one, as plain values; both were judged by the same windows."""
        seeds, groups = self.seeds, self.groups
        first, second = self.own.stacked(seeds, groups), self.other.stacked(seeds, groups)
        draws = make_draws(len(seeds), len(groups))
        limits = interval(drawn_scores(first, draws) - drawn_scores(second, draws))
        means = (scores(first.sum(axis=1)) - scores(second.sum(axis=1))).mean(axis=0)
        by_group = (scores(first) - scores(second)).mean(axis=0)
        over_groups = students_t(by_group)
        figures = {
            name: {
                "mean": float(means[index]),
                "interval": limits[index],
                "mean_of_groups": float(by_group[:, index].mean()),
                "students_t": over_groups[index],
                "ahead": ahead,
                "behind": behind,
            }
            for index, (name, (ahead, behind)) in enumerate(compared(first, second).items())
        }
        return {
            "method": self.place.method,
            "labels_per_class": self.place.budget,
            "sensors": self.place.sensors,
            **figures,
            "of": len(seeds) * len(groups),
            "seeds": seeds,
            "groups": len(groups),
        }
