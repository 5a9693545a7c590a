"""The running mean of a student's weights."""

from __future__ import annotations

import torch

from sensorkd.models.student import Student

__all__ = ["average_in"]


def average_in(average: Student, student: Student, count: int) -> int:
    """Take a student's weights into the running mean of `count` others; how many it is of then."""
    with torch.no_grad():
        for mean, value in zip(average.parameters(), student.parameters(), strict=True):
            mean.data.lerp_(value.data, 1.0 / (count + 1))
        for kept, buffer in zip(average.buffers(), student.buffers(), strict=True):
            kept.copy_(buffer)
    return count + 1
