"""Checks archives, a file at a time or several at once, and brings together what was found."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sensorkd.checks.across import check_across
from sensorkd.checks.catalogue import CHECKS
from sensorkd.checks.container import check_folder, check_unfinished
from sensorkd.checks.examine import Task, examine, not_opened
from sensorkd.checks.facts import FileReport
from sensorkd.checks.finding import IMPORTANCES, Finding, Importance
from sensorkd.errors import SensorkdError
from sensorkd.processes import ChildLimits, in_children
from sensorkd.recordings import Layout, load_layout
from sensorkd.recordings.reader import find_archives, find_unfinished

__all__ = ["Report", "validate"]

# Whoever reads more slowly, in bytes a second, does not come forward at all.
SLOWEST, PATIENCE = 500_000, 60.0
MEMORY = 4 << 30


@dataclass(frozen=True)
class Report:
    """What was found in some files, sorted by importance, then by file. recordings: that could be opened.

    files: path -> name as in the ids of its recordings.
    """

    files: Mapping[str, str]
    recordings: int
    findings: tuple[Finding, ...]

    @property
    def counts(self) -> dict[Importance, int]:
        """Findings by importance."""
        counted = Counter(finding.importance for finding in self.findings)
        return {importance: counted[importance] for importance in IMPORTANCES}

    @property
    def exit_code(self) -> int:
        """0: at most hints; 1: something critical or a warning; 2: no recording could be opened."""
        if not self.recordings:
            return 2
        return 1 if self.counts["critical"] or self.counts["warning"] else 0

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "files": len(self.files),
            "recordings": self.recordings,
            "counts": dict(self.counts),
            "findings": [finding.to_json() for finding in self.findings],
        }


def validate(
    paths: str | Path | Iterable[str | Path],
    layout: Layout | str | Path | None = None,
    *,
    checks: frozenset[str] = frozenset(CHECKS),
    jobs: int | None = None,
    isolated: bool = False,
    quick: bool = False,
    window: float | None = None,
    limits: ChildLimits | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Report:
    """Check archives. Nothing that is wrong with a file is raised: it is a finding, and the others go on.

    Args:
        paths: files or folders, as for `open_recordings`. layout: the map for a foreign tree.
        checks: ids of those to make; see `select_checks`.
        jobs: files at a time, each in a process of its own; None: as many as there are processors. With one,
            files are read in this process, unless `isolated`.
        quick: read no samples. window: seconds that a window will need, to name recordings too short for it.
        limits: what a process may use for one file; if None and `isolated`, 4 GiB, and time enough for the
            largest file on a slow disk.
        progress: called with the files done and those there are.

    Raises:
        ConfigError: the layout itself is wrong.
    """
    if isinstance(layout, str | Path):
        layout = load_layout(layout)
    reports: list[FileReport] = []
    tasks: list[Task] = []
    for path in [paths] if isinstance(paths, str | Path) else paths:
        reports += _unfinished(Path(path), checks)
        try:
            files = find_archives(path)
        except SensorkdError as error:
            reports.append(not_opened(Path(path), error, checks))
            continue
        tasks += [Task(file, name, layout, checks, quick, window) for name, file in files]
    jobs = min(len(tasks), jobs or os.cpu_count() or 1)
    if isolated and limits is None:
        limits = _generous(tasks)
    progress(0, len(tasks))
    for done, report in enumerate(_examine_all(tasks, jobs, isolated, limits), start=1):
        reports.append(report)
        progress(done, len(tasks))
    return _brought_together(reports, checks)


def _unfinished(path: Path, checks: frozenset[str]) -> Iterator[FileReport]:
    for name, file in find_unfinished(path):
        findings = tuple(found for found in check_unfinished(file) if found.check in checks)
        if findings:
            yield FileReport(str(file), name, findings, ())


def _generous(tasks: Sequence[Task]) -> ChildLimits:
    largest = max((task.path.stat().st_size for task in tasks if task.path.is_file()), default=0)
    return ChildLimits(seconds=PATIENCE + largest / SLOWEST, memory=MEMORY)


def _examine_all(
    tasks: Sequence[Task], jobs: int, isolated: bool, limits: ChildLimits | None
) -> Iterator[FileReport]:
    if jobs <= 1 and not isolated:
        yield from map(examine, tasks)
        return
    for index, result in in_children(examine, tasks, jobs=jobs, limits=limits, told=lambda task: task.path):
        if isinstance(result, SensorkdError):
            yield not_opened(tasks[index].path, result, tasks[index].checks)
        else:
            yield result


def _brought_together(reports: Sequence[FileReport], checks: frozenset[str]) -> Report:
    reports = sorted(reports, key=lambda report: report.file)
    recordings = [item for report in reports for item in report.recordings]
    findings = [finding for report in reports for finding in report.findings]
    folders = sorted({Path(report.file).parent for report in reports})
    together = [*(found for folder in folders for found in check_folder(folder)), *check_across(recordings)]
    findings += [finding for finding in together if finding.check in checks]
    findings.sort(key=lambda item: (IMPORTANCES.index(item.importance), item.place.file))
    files = {report.file: report.name for report in reports}
    return Report(files, len(recordings), tuple(findings))
