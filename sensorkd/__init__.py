"""Logged video, temperature and acceleration in; a compact fused classifier for the edge out.

Public names are loaded when they are first used, so that importing sensorkd imports neither torch nor
h5py: a device has neither.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from sensorkd._version import __version__

if TYPE_CHECKING:
    from sensorkd.adapters import SensorAdapter, StreamSpec
    from sensorkd.edge import EdgeBundle, EdgePredictor
    from sensorkd.errors import SensorkdError
    from sensorkd.evaluation.evaluate import evaluate_run
    from sensorkd.evaluation.report import write_report
    from sensorkd.export import export_run
    from sensorkd.recordings import (
        Layout,
        Recording,
        RecordingLogger,
        RecordingWriter,
        StreamFormat,
        open_recordings,
    )
    from sensorkd.runs import Run, RunConfig, load_config, train_run

_HOMES = {
    "EdgeBundle": "sensorkd.edge",
    "EdgePredictor": "sensorkd.edge",
    "Layout": "sensorkd.recordings",
    "Recording": "sensorkd.recordings",
    "RecordingLogger": "sensorkd.recordings",
    "RecordingWriter": "sensorkd.recordings",
    "Run": "sensorkd.runs",
    "RunConfig": "sensorkd.runs",
    "SensorAdapter": "sensorkd.adapters",
    "SensorkdError": "sensorkd.errors",
    "StreamFormat": "sensorkd.recordings",
    "StreamSpec": "sensorkd.adapters",
    "evaluate_run": "sensorkd.evaluation.evaluate",
    "export_run": "sensorkd.export",
    "load_config": "sensorkd.runs",
    "open_recordings": "sensorkd.recordings",
    "train_run": "sensorkd.runs",
    "write_report": "sensorkd.evaluation.report",
}

__all__ = [
    "EdgeBundle",
    "EdgePredictor",
    "Layout",
    "Recording",
    "RecordingLogger",
    "RecordingWriter",
    "Run",
    "RunConfig",
    "SensorAdapter",
    "SensorkdError",
    "StreamFormat",
    "StreamSpec",
    "__version__",
    "evaluate_run",
    "export_run",
    "load_config",
    "open_recordings",
    "train_run",
    "write_report",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'sensorkd' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
