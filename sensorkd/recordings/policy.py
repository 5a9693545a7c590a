"""What a file may ask of this computer: limits for every file, and what its user allows beyond them.

`SENSORKD_ALLOW` holds it, so that whoever reads lazily, in this process or in a child, judges alike:

    SENSORKD_ALLOW=blosc,32004     these filters too (by name or id), once their plug-in is installed
    SENSORKD_ALLOW=vlen            sequences of variable length
    SENSORKD_ALLOW=chunk=1GiB      chunks of up to that size
    SENSORKD_ALLOW=ratio=20000     so many declared bytes for each stored one
"""

from __future__ import annotations

import functools
import importlib.util
import os
import re
from dataclasses import dataclass

from sensorkd.errors import ConfigError, nearest

__all__ = ["VARIABLE", "GuardPolicy"]

VARIABLE = "SENSORKD_ALLOW"
# Filters that are part of HDF5 or h5py. Others are native code from elsewhere, and some of them crash
# on damaged chunks. SZIP is left to the library: not every build can read it.
BUILT_IN = {1: "gzip", 2: "shuffle", 3: "fletcher32", 4: "szip", 5: "nbit", 6: "scaleoffset", 32000: "lzf"}
# As registered with The HDF Group.
REGISTERED = {
    307: "bzip2",
    32001: "blosc",
    32004: "lz4",
    32008: "bitshuffle",
    32013: "zfp",
    32015: "zstd",
    32017: "sz",
    32018: "fcidecomp",
    32026: "blosc2",
}
UNITS = {"": 1, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30}


@dataclass(frozen=True)
class GuardPolicy:
    """Limits of what is read.

    filters: ids allowed beyond those of HDF5 itself. vlen: whether sequences of variable length are.
    chunk_bytes: of one chunk, unpacked; reading one sample unpacks that much. ratio: declared bytes for
    each stored one. gzip cannot compress better than about 1:1032, so a larger ratio means that most of
    the dataset was never written, or that it is a bomb.
    """

    filters: frozenset[int] = frozenset()
    vlen: bool = False
    chunk_bytes: int = 1 << 28
    ratio: int = 1100

    @classmethod
    def of_environment(cls) -> GuardPolicy:
        """What `SENSORKD_ALLOW` says.

        Raises:
            ConfigError: it says something else.
        """
        return _parse(os.environ.get(VARIABLE, ""))

    def allows(self, code: int) -> bool:
        """Whether chunks may be read through the filter of this id."""
        return code in BUILT_IN or code in self.filters


def filter_name(code: int, stored: str) -> str:
    """A filter as people call it, else as the file does."""
    return BUILT_IN.get(code) or REGISTERED.get(code) or stored or "without a name"


@functools.lru_cache(maxsize=8)
def _parse(text: str) -> GuardPolicy:
    filters: set[int] = set()
    vlen = False
    limits: dict[str, int] = {}
    numbers = {name: code for code, name in REGISTERED.items()}
    for word in filter(None, (part.strip().lower() for part in text.split(","))):
        limit = re.fullmatch(r"(chunk|ratio)=(\d+)\s*([kmg]ib)?", word)
        if limit:
            limits[limit[1]] = int(limit[2]) * UNITS[limit[3] or ""]
        elif word == "vlen":
            vlen = True
        elif word in numbers or word.isdecimal():
            filters.add(numbers.get(word) or int(word))
        else:
            raise ConfigError(
                "the environment allows something that is not known",
                inside=VARIABLE,
                found=word,
                expected=f"vlen, chunk=SIZE, ratio=NUMBER, a filter's id, or one of {sorted(numbers)}",
                mend=f"{nearest(word, [*numbers, 'vlen', 'chunk=1GiB', 'ratio=20000'])}correct the variable",
            )
    if filters and importlib.util.find_spec("hdf5plugin"):
        importlib.import_module("hdf5plugin")  # registers the filters it brings along
    default = GuardPolicy()
    return GuardPolicy(
        frozenset(filters), vlen, limits.get("chunk", default.chunk_bytes), limits.get("ratio", default.ratio)
    )
