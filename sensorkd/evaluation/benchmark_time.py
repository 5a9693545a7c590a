"""Equal wall-clock: as many steps as take the time of another method, measured in the benchmark itself.

Both methods run at equal steps first. The ratio of their times is written once and stays, or later cells
would be of another budget than earlier ones. So it is not measured by some of the folds: those that happened
to run while the computer was busy would tell for all.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sensorkd.durable import write_whole
from sensorkd.errors import RunError
from sensorkd.evaluation.benchmark_plan import Cell, Plan

__all__ = ["EqualTime"]

RATIOS = "equal_time.json"


@dataclass(frozen=True)
class EqualTime:
    """Steps of the methods that are given the time of another, by label and budget."""

    plan: Plan

    @property
    def path(self) -> Path:
        """Where ratios are kept."""
        return self.plan.out / RATIOS

    def ratios(self) -> dict[str, dict[str, Any]]:
        """Label and budget -> how they were measured, and the steps that follow.

        Raises:
            RunError: the file is damaged.
        """
        if not self.path.exists():
            return {}
        try:
            return dict(json.loads(self.path.read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            raise RunError(
                "the measured ratios of times cannot be read",
                file=self.path,
                found=error,
                mend="put the file back from a copy, or remove it: finished cells tell them anew",
            ) from error

    def concerns(self, cell: Cell) -> bool:
        """Whether the steps of a cell are measured."""
        return self.plan.config.entry(cell.label).equal_time_with is not None

    def sources(self, cell: Cell) -> tuple[list[Cell], list[Cell]]:
        """Cells by whose times a cell's steps are told: of its own method and of the other, first seed."""
        entry = self.plan.config.entry(cell.label)
        base = self.plan.config.base_of(entry)
        assert base is not None and entry.equal_time_with is not None  # checked when it was read
        seed = self.plan.config.seeds[0]
        every = [item for item in self.plan.cells if (item.budget, item.seed) == (cell.budget, seed)]
        names = (base.name, entry.equal_time_with)
        own, other = ([item for item in every if item.label == name] for name in names)
        return own, other

    def resolved(self, cell: Cell) -> Cell | None:
        """The cell with its steps; None where they were not measured yet."""
        if not self.concerns(cell):
            return cell
        told = self._told(cell)
        return None if told is None else cell.with_steps(int(told["steps"]))

    def told(self) -> list[dict[str, Any]]:
        """How the ratios in force were measured."""
        found = {_key(cell): self._told(cell) for cell in self.plan.cells if self.concerns(cell)}
        return [told for told in found.values() if told is not None]

    def _told(self, cell: Cell) -> dict[str, Any] | None:
        """None where it was not measured, or by cells of another configuration."""
        told = self.ratios().get(_key(cell))
        return told if told is not None and told.get("sources") == self._sources(cell) else None

    def _sources(self, cell: Cell) -> list[list[str]]:
        """What tells the cells by which it is measured from those of another configuration."""
        return [[item.identity for item in side] for side in self.sources(cell)]

    def measure(self, cell: Cell, finished: Callable[[Cell], Mapping[str, Any] | None]) -> bool:
        """Fix the ratio of a cell's method and budget; False until every fold of both sides is finished."""
        sources = self.sources(cell)
        own, other = ([told for item in side if (told := finished(item)) is not None] for side in sources)
        if (len(own), len(other)) != tuple(map(len, sources)):
            return False
        own_step, other_step = _seconds_a_step(own), _seconds_a_step(other)
        told = {
            "method": cell.label,
            "labels_per_class": cell.budget,
            "sources": self._sources(cell),
            "with": self.plan.config.entry(cell.label).equal_time_with,
            "seconds_a_step": own_step,
            "seconds_a_step_of_it": other_step,
            "ratio": other_step / own_step,
            "steps": max(1, round(other[0]["steps"] * other_step / own_step)),
            "cells": [len(own), len(other)],
        }
        write_whole(self.path, json.dumps({**self.ratios(), _key(cell): told}, indent=1).encode())
        return True


def _key(cell: Cell) -> str:
    return f"{cell.label}, {cell.budget}"


def _seconds_a_step(cells: Sequence[Mapping[str, Any]]) -> float:
    """The median over cells of training seconds by steps; a teacher's training is among them."""
    return float(np.median([max(told["seconds"], 1e-9) / told["steps"] for told in cells]))
