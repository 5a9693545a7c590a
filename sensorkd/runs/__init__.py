"""From a configuration and archives to a folder with a trained student: where files and learning meet."""

from sensorkd.runs.config import RunConfig
from sensorkd.runs.config_file import load_config
from sensorkd.runs.run import Run
from sensorkd.runs.train import train_run

__all__ = ["Run", "RunConfig", "load_config", "train_run"]
