"""Budgets of labels: as a benchmark names them, as a run takes them, and in words."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

__all__ = ["as_budgets", "budget_overrides", "labels_told"]


def as_budgets(value: Any) -> list[str]:
    """One budget or several, as text, each written in one way.

    >>> as_budgets([2, "25.0%", "1 groups", "100%"])
    ['2', '25%', '1 group', 'all']

    Raises:
        ValueError: one of them is no budget, or stands there twice.
    """
    if not isinstance(value, (list, tuple)):
        value = [value]
    budgets = [_as_budget(str(item).strip()) for item in value]
    if len(set(budgets)) < len(budgets):
        raise ValueError(f"a budget stands there twice: {budgets}")
    return budgets


def _as_budget(text: str) -> str:
    if share := re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)%", text):
        percent = Decimal(share[1])
        if 0 < percent < 100:
            return f"{percent.normalize():f}%"
        if percent == 100:
            return "all"
    elif re.fullmatch(r"1 groups?", text):
        return "1 group"
    elif re.fullmatch(r"all|[1-9][0-9]*( groups)?", text):
        return text
    raise ValueError(f"{text!r} is no budget: a number of labels a class, a share as 25%, 2 groups, or all")


def budget_overrides(budget: str) -> dict[str, Any]:
    """What a run is told of a budget.

    >>> budget_overrides("25%")
    {'labels_per_class': None, 'labels_groups': None, 'labels_share': 0.25}
    """
    return {
        "labels_per_class": int(budget) if budget.isdigit() else None,
        "labels_groups": int(budget.split()[0]) if "group" in budget else None,
        "labels_share": float(budget[:-1]) / 100 if budget.endswith("%") else None,
    }


def labels_told(budget: str) -> str:
    """A budget in words.

    >>> labels_told("2"), labels_told("25%"), labels_told("all"), labels_told("2 groups")
    ('2 labels a class', '25% of the labels', 'all labels', 'labels of 2 groups')
    """
    if budget == "all":
        return "all labels"
    if "group" in budget:
        return f"labels of {budget}"
    return (
        f"{budget} of the labels"
        if budget.endswith("%")
        else f"{budget} label{'s' * (budget != '1')} a class"
    )
