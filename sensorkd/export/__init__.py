"""Student to bundle: strip, export, compare, seal."""

from sensorkd.export.seal import export_run

__all__ = ["export_run"]
