"""JSON lines: what sensors send, one object a line, in; a verdict a line out. A bad line never ends a stream.

    {"stream": "shake", "time": 1700000000000000000, "samples": [[12, -3], [14, 0]]}
    {"stream": "camera", "time": "2024-03-01T06:00:00.25Z",
     "samples": {"base64": "AAEC...", "dtype": "uint8", "shape": [1, 64, 64, 3]}}
    {"stream": "heat", "time": [0, 500000000], "samples": [[41.5], [41.75]], "physical": true}
    {"time": 1700000001000000000}        it is that late now, whatever has come
    {"begin": "press 4, part 1812"}      another recording
    {"end": true}                        nothing more comes of it

time: whole nanoseconds, or ISO 8601 with its offset from UTC; of the first sample, or one for each. samples:
(n, *sample_shape) in the bundle's dtype, numbers or base64 of little-endian bytes; with `physical`, in its
unit. What comes out is told by `Verdict.to_json`.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol, TextIO

import numpy as np
from numpy.typing import NDArray

from sensorkd.edge.stream import StreamPredictor, Verdict
from sensorkd.encoding import InputEncoding
from sensorkd.errors import BundleError, SensorkdError, nearest
from sensorkd.timeline import LIMIT

__all__ = ["LINE_BYTES", "LineSource", "judge_lines", "judge_message"]

# A frame of a megapixel in colour, in base64. Numbers as text take some 30 times the memory of their line.
LINE_BYTES = 4 << 20
# Of a recording's name, which is in every verdict and in the state.
NAME_LENGTH = 200
KEYS = ("stream", "time", "samples", "physical", "begin", "end")
EXPECTED = "an object with stream, time and samples; or time; or begin; or end"
FRACTION = re.compile(r"[.,](\d+)")
DTYPE = re.compile(r"[<>=|]?[a-z]+\d*")


class LineSource(Protocol):
    """Whatever lines of bytes are read from."""

    def readline(self, limit: int = -1, /) -> bytes:
        """At most `limit` bytes of the next line; nothing at the end."""


def judge_lines(
    stream: StreamPredictor,
    source: LineSource,
    out: TextIO,
    *,
    on_bad: Callable[[str], None],
    after: Callable[[], None] = lambda: None,
    limit: int = LINE_BYTES,
) -> int:
    """Judge line by line until the source ends, then what is left; `state` then tells where to go on.

    Args:
        on_bad: told of every line that could not be used, with its number. after: called after each line.
        limit: bytes of the longest line.

    Returns:
        How many lines could not be used.
    """
    bad = 0
    for number, line in _lines(source, limit):
        try:
            if line is None:
                raise BundleError("too long", found=f"over {limit} bytes", mend="send shorter chunks")
            verdicts = judge_message(stream, line) if line.strip() else []
        except SensorkdError as error:
            bad += 1
            on_bad(f"line {number}: {error}")
            continue
        _write(verdicts, out)
        after()
    _write(stream.flush(), out)
    after()
    return bad


def judge_message(stream: StreamPredictor, message: bytes) -> list[Verdict]:
    """What one line asks for; the verdicts that are due.

    Raises:
        BundleError: it cannot be used; nothing was taken.
    """
    told = _parsed(message)
    for word in ("begin", "end"):
        if word in told and len(told) > 1:
            raise BundleError(f"`{word}` stands alone in its line", found=sorted(told), expected=EXPECTED)
    if "begin" in told:
        name = told["begin"]
        if not (isinstance(name, str) and len(name) <= NAME_LENGTH):
            expected = f"text of at most {NAME_LENGTH} letters"
            raise BundleError("no name of a recording", inside="begin", found=_short(name), expected=expected)
        return stream.begin(name)
    if "end" in told:
        if told["end"] is not True:
            raise BundleError("`end` is true or not there", inside="end", found=_short(told["end"]))
        return stream.end()
    if "stream" not in told:
        if "time" not in told or len(told) > 1:
            raise BundleError("samples of no stream", found=sorted(told), expected=EXPECTED)
        time = _time(told.get("time"))
        if not isinstance(time, int):
            raise BundleError("one time is needed", inside="time", found=_short(told.get("time")))
        return stream.advance(time)
    inputs, name = stream.predictor.bundle.description.inputs, told["stream"]
    if not isinstance(name, str) or name not in inputs:
        raise BundleError(
            "the bundle has no such input",
            inside="stream",
            found=_short(name),
            expected=list(inputs),
            mend=nearest(str(name), inputs) or None,
        )
    encoding = inputs[name]
    values = _samples(told.get("samples"), encoding, physical=told.get("physical") is True)
    return stream.push(name, values, _time(told.get("time")))


def _lines(source: LineSource, limit: int) -> Iterator[tuple[int, bytes | None]]:
    """Lines and their numbers from 1; None for one that is too long, which is not kept in memory."""
    number = 0
    while line := source.readline(limit + 1):
        number += 1
        whole = len(line) <= limit or line.endswith(b"\n")
        yield number, line if whole else None
        while not whole and (rest := source.readline(limit)):
            whole = rest.endswith(b"\n")


def _write(verdicts: list[Verdict], out: TextIO) -> None:
    for verdict in verdicts:
        out.write(json.dumps(verdict.to_json(), allow_nan=False) + "\n")
    if verdicts:
        out.flush()


def _parsed(message: bytes) -> Mapping[str, Any]:
    try:
        told = json.loads(message.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise BundleError("not JSON", found=_short(error), expected=EXPECTED) from error
    if not isinstance(told, dict) or not told:
        raise BundleError("not an object", found=_short(told), expected=EXPECTED)
    for key in told:
        if key not in KEYS:
            raise BundleError(
                "an unknown key", found=_short(key), expected=EXPECTED, mend=nearest(key, KEYS) or None
            )
    return told


def _samples(told: Any, encoding: InputEncoding, *, physical: bool) -> NDArray[Any]:
    values = _decoded(told) if isinstance(told, dict) else _listed(told, encoding, physical=physical)
    if values.ndim == 1 and encoding.sample_shape == (1,):
        values = values[:, None]
    # Another shape could not be brought into the bundle's form either.
    if not physical or values.shape[1:] != encoding.sample_shape:
        return values
    return encoding.encode(values.astype(np.float64), scale=1.0, offset=0.0)


def _decoded(told: Mapping[str, Any]) -> NDArray[Any]:
    """An array from its bytes."""
    try:
        shape = [int(size) for size in told["shape"]]
        if not DTYPE.fullmatch(str(told["dtype"])):
            raise ValueError(f"dtype {told['dtype']!r}")  # NumPy would evaluate some of these
        dtype = np.dtype(str(told["dtype"])).newbyteorder("<")
        content = base64.b64decode(told["base64"], validate=True)
        if dtype.kind not in "iuf" or min(shape, default=-1) < 0:
            raise ValueError(f"{told['dtype']} {shape}")
        if math.prod(shape) * dtype.itemsize != len(content):
            raise ValueError(f"{len(content)} bytes for {dtype.name} {shape}")
        return np.frombuffer(content, dtype).reshape(shape).astype(dtype.newbyteorder("="), copy=False)
    except (KeyError, TypeError, ValueError, OverflowError, binascii.Error) as error:
        raise BundleError(
            "these samples are no array",
            inside="samples",
            found=_short(error),
            expected="base64, dtype and shape that belong together",
        ) from error


def _listed(told: Any, encoding: InputEncoding, *, physical: bool) -> NDArray[Any]:
    """An array from numbers, null for what is not one."""
    dtype = np.dtype(encoding.dtype)
    expected = f"(n, {', '.join(map(str, encoding.sample_shape))}) of {dtype}"
    try:
        if not isinstance(told, list):
            raise ValueError(f"{told!r} is no list")
        if physical or dtype.kind == "f":
            with np.errstate(over="ignore"):
                return np.array(told, np.float64).astype(np.float64 if physical else dtype)
        values = np.array(told)
        ends = np.iinfo(dtype)
        if values.size and (
            values.dtype.kind not in "iu" or values.min() < ends.min or values.max() > ends.max
        ):
            raise ValueError(f"{_short(told)} are not all {dtype}")
        return values.astype(dtype)
    except (TypeError, ValueError, OverflowError) as error:
        raise BundleError(
            "these samples are no array", inside="samples", found=_short(error), expected=expected
        ) from error


def _time(told: Any) -> Any:
    """ns, or a list of ns."""
    if isinstance(told, list):
        return np.array([_one_time(item) for item in told], np.int64)
    return _one_time(told)


def _one_time(told: Any) -> int:
    time = told
    if isinstance(told, str):
        try:
            time = _text_in_ns(told)
        except (ValueError, OverflowError):
            time = None
    if isinstance(time, int) and not isinstance(time, bool) and abs(time) < LIMIT:
        return time
    raise BundleError(
        "this is no time",
        inside="time",
        found=_short(told),
        expected="whole nanoseconds, or such as 2024-03-01T06:00:00.25Z; between 1843 and 2096",
        mend="say the offset from UTC; a fraction of a nanosecond would be lost",
    )


def _text_in_ns(text: str) -> int:
    """ISO 8601 with its offset from UTC, to the nanosecond, which `datetime` would cut to microseconds."""
    fraction = FRACTION.search(text)
    digits = "" if fraction is None else fraction[1]
    if len(digits) > 9:
        raise ValueError(text)
    stamp = datetime.fromisoformat(FRACTION.sub("", text))
    if stamp.tzinfo is None:
        raise ValueError(text)
    since = stamp - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 10**9 + int(digits.ljust(9, "0"))


def _short(value: object) -> str:
    """A value for people, however long."""
    text = str(value) if isinstance(value, str | Exception) else repr(value)
    return text if len(text) <= 120 else text[:117] + "..."
