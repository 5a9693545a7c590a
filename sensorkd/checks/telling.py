"""Findings for people: those that are alike, told once."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence

from sensorkd.checks import container
from sensorkd.checks.across import REPEATED_ID
from sensorkd.checks.catalogue import CHECKS
from sensorkd.checks.finding import IMPORTANCES, Check, Finding, counted
from sensorkd.checks.run import Report

__all__ = ["catalogue_lines", "report_lines"]

EACH = 2  # findings alike that are told one by one
# A file that is lost is told by name, however many there are.
OF_FILES = frozenset(check.id for check in (*container.CHECKS, REPEATED_ID))


def report_lines(report: Report) -> list[str]:
    """What was found: the most important first, findings of one check and stream together.

    What concerns a whole file names each of them, with its own cure.
    """
    lines: list[str] = []
    for id_ in dict.fromkeys(finding.check for finding in report.findings):
        lines += [*_check_lines(CHECKS[id_], [item for item in report.findings if item.check == id_]), ""]
    counts = ", ".join(f"{report.counts[importance]} {importance}" for importance in IMPORTANCES)
    told = f"{counted(len(report.files), 'file')}, {counted(report.recordings, 'recording')}"
    return [*lines, f"{told}; {counts}" if report.findings else f"{told}; nothing found"]


def _check_lines(check: Check, findings: Sequence[Finding]) -> list[str]:
    lines = [f"{check.importance}: {check.title} [{check.id}]"]
    if check.id in OF_FILES:
        for file in dict.fromkeys(finding.place.file for finding in findings):
            lines += _file_lines([finding for finding in findings if finding.place.file == file])
        return [*lines, f"  why: {check.reason}"]
    for stream in dict.fromkeys(finding.place.stream for finding in findings):
        alike = [finding for finding in findings if finding.place.stream == stream]
        if len(alike) <= EACH:
            lines += [line for finding in alike for line in _finding_lines(finding)]
        else:
            lines += _group_lines(stream, alike)
    lines.append(f"  why: {check.reason}")
    cures = list(dict.fromkeys(finding.cure for finding in findings))
    return [*lines, *(f"  to mend: {cure}" for cure in cures[:EACH])]


def _file_lines(findings: Sequence[Finding]) -> list[str]:
    """What was found in one file: all of little, the first of much."""
    shown = findings if len(findings) <= EACH else findings[:1]
    lines: list[str] = []
    for finding in shown:
        inside = f" at {finding.place.inside}" if finding.place.inside else ""
        lines += [
            f"  {finding.place.file}{inside}",
            f"    found: {finding.found}",
            f"    expected: {finding.expected}",
            f"    to mend: {finding.cure}",
        ]
    if len(shown) < len(findings):
        lines.append(f"    and {len(findings) - len(shown):,} more like it in this file")
    return lines


def _finding_lines(finding: Finding, before: str = "") -> list[str]:
    place = str(finding.place)
    inside = f" at {finding.place.inside}" if finding.place.recording is None and finding.place.inside else ""
    return [
        f"  {before}{place}{inside}",
        f"    found: {finding.found}",
        f"    expected: {finding.expected}",
    ]


def _group_lines(stream: str | None, alike: Sequence[Finding]) -> list[str]:
    places = list(dict.fromkeys(finding.place.recording or finding.place.file for finding in alike))
    what = "file" if alike[0].place.recording is None else "recording"
    where = f"{counted(len(places), what)}, such as {', '.join(places[:3])}" if len(places) > 1 else places[0]
    values = [finding.value for finding in alike if finding.value is not None]
    spread = ""
    if values:
        unit = f" {alike[0].unit}" if alike[0].unit else ""
        spread = (
            f"; {min(values):.4g} to {max(values):.4g}{unit}, median {statistics.median(values):.4g}{unit}"
        )
    worst = max(alike, key=lambda finding: finding.size)
    which = "the worst: " if worst.size > min(finding.size for finding in alike) else "one of them: "
    return [f"  {stream or 'found'} in {where}{spread}", *_finding_lines(worst, which)]


def catalogue_lines(checks: Iterable[Check]) -> list[str]:
    """The catalogue: every check with its reason and its cure."""
    lines: list[str] = []
    for check in sorted(checks, key=lambda check: IMPORTANCES.index(check.importance)):
        lines.append(f"{check.id} ({check.importance}): {check.title}")
        lines += [f"  why: {check.reason}", f"  to mend: {check.cure}"]
    return lines
