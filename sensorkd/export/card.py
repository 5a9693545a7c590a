"""The model card of a bundle: what a person on the floor should know of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sensorkd.edge.bundle import INT8, BundleDescription
from sensorkd.encoding import InputEncoding
from sensorkd.export.gate import Comparison

__all__ = ["model_card"]


def model_card(
    description: BundleDescription,
    comparison: Comparison,
    model_bytes: int,
    groups: Mapping[str, Sequence[str]],
) -> str:
    """Markdown."""
    inputs = "\n".join(_row(name, encoding) for name, encoding in description.inputs.items())
    every = "once a recording"
    if description.segment_of is not None:
        every = f"at the end of every burst of {description.segment_of}"
    elif description.hop is not None:
        every = f"every {description.hop:g} s"
    return f"""# Edge bundle: {description.target}

Says which of {len(description.classes)} classes holds, {every}: {", ".join(description.classes)}.

| input | unit | dtype | window | range |
|---|---|---|---|---|
{inputs}

Any subset of the inputs gives a verdict; each verdict says what was missing.

- {description.parameters:,} parameters, {description.macs:,} multiply-accumulates a window,
  {model_bytes:,} bytes.
- Trained on {", ".join(groups["train"])}; held out: {", ".join(groups["test"]) or "nothing"}.
{_int8(description)}{_unknown(description)}- Exported and trained model compared on
  {comparison.windows} windows, held-out ones under subsets of the sensors: outputs within
  {comparison.largest_difference:.2g}; {comparison.excluded} had no clear verdict.

    python -m sensorkd.edge verify BUNDLE
    python -m sensorkd.edge predict BUNDLE windows.npz
"""


def _int8(description: BundleDescription) -> str:
    """A point of the list, with its line break, or nothing."""
    return "" if description.int8 is None else f"- `{INT8}`: {description.int8.told()}.\n"


def _unknown(description: BundleDescription) -> str:
    """A point of the list, with its line break, or nothing."""
    if description.unknown is None:
        return ""
    told = description.unknown.told()
    return f"- {told[0].upper()}{told[1:]}.\n"


def _row(name: str, encoding: InputEncoding) -> str:
    window = (
        "whole recording" if encoding.span is None else f"{encoding.span / 1e9:g} s at {encoding.rate:g} Hz"
    )
    shape = " x ".join(map(str, encoding.shape))
    low, high = encoding.valid_range
    return f"| {name} | {encoding.unit} | {encoding.dtype} | {window}: {shape} | {low:g} to {high:g} |"
