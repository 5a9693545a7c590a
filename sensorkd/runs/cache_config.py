"""Where a run keeps its windows: in memory, in a sealed cache, or in the archives."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from sensorkd.processes import ChildLimits
from sensorkd.windows.cache import CacheSettings
from sensorkd.windows.reading import ReadingMode, ReadingSettings

__all__ = ["CacheConfig"]

Gibibytes = Annotated[float, Field(gt=0, allow_inf_nan=False)]
MOST_JOBS = 8


class CacheConfig(BaseModel):
    """Results do not depend on any of it, bit for bit.

    mode: `memory`, `cache` (a file of windows laid end to end, made once), `direct` (from the archives, again
    in every epoch); `auto` takes the first of them that has room. memory: GiB of windows that may be held
    there, never more than half of what is available. folder: of the caches; default ~/.cache/sensorkd.
    limit: GiB of all caches in it together. jobs: processes that read archives; default one a processor.
    verify: check the whole cache when it is opened, not each window when it is first read.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    mode: ReadingMode = "auto"
    memory: Gibibytes = 8.0
    folder: str | None = None
    limit: Gibibytes = 64.0
    jobs: Annotated[int, Field(ge=1)] | None = None
    verify: bool = False

    def settings(self, *, isolated: bool, limits: ChildLimits | None = None) -> ReadingSettings:
        """The same in bytes. isolated: archives are read in child processes only, within `limits`."""
        cache = CacheSettings(
            folder=self.place,
            limit=round(self.limit * 2**30),
            jobs=self.processes,
            verify=self.verify,
            limits=limits if isolated else None,
        )
        return ReadingSettings(cache, self.mode, round(self.memory * 2**30), isolated)

    @property
    def place(self) -> Path:
        """The folder of the caches."""
        if self.folder is not None:
            return Path(os.path.expandvars(Path(self.folder).expanduser()))
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sensorkd"

    @property
    def processes(self) -> int:
        """How many read archives at once."""
        return self.jobs or min(os.cpu_count() or 1, MOST_JOBS)
