"""A simulated plant: numbers and pictures made up by this module, written as real `recording-1.0` archives.

Nothing here was measured. Every archive says so (identity `simulated: yes`). A simulated machine is a
motor on a bearing that drives a fan by a belt, seen by three sensors, each on its own clock:

- acceleration: 3 axes, 2 kHz, int16, m/s2, AC-coupled (no gravity), at the bearing;
- temperature: 1 channel, 2 Hz, float32, degC, at the bearing's housing;
- video: 64 x 64 x 3, 12 fps, uint8, unit 1, from a camera at a distance.

No sensor sees all six conditions apart, and no two of them do; the three together can:

    condition       acceleration        temperature     video
    healthy         shaft harmonics     steady          fan and belt blurred by speed
    bearing_fault   ringing impulses    steady          as healthy
    looseness       half orders         steady          rotor wobbles
    rotor_rub       as looseness        saw-tooth       rotor wobbles
    belt_slip       as healthy          warming up      belt creeps, smoke at its pulley
    fan_stopped     as healthy          warming up      fan stands still

Machines differ in speed, load, resonance, gain and direction of the sensor, ambient temperature,
camera, light and paint, so that the task is to recognise a condition on a machine never seen before.

Simplifications: fan and belt are too light for the accelerometer to notice; thermal time constants are
seconds instead of minutes, so that ten seconds show a trend; a fault does not grow within a recording.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorkd.recordings import RecordingWriter
from sensorkd.timeline import SECOND, duration

__all__ = ["CONDITIONS", "Machine", "SimulatedStream", "simulate", "write_plant"]

CONDITIONS = ("healthy", "bearing_fault", "looseness", "rotor_rub", "belt_slip", "fan_stopped")

ACCELERATION_RATE = 2000.0
TEMPERATURE_RATE = 2.0
VIDEO_RATE = 12.0
# +-16 g, the range of a common industrial MEMS sensor.
ACCELERATION_SCALE = 160.0 / 32767
FRAME = 64
# Video levels are rounded to this step, as a cheap camera's are; most pixel noise then costs no bytes.
LEVEL_STEP = 6.0
# Places on the simulated machine, in the picture's half widths: x to the right, y upwards.
ROTOR, FAN = np.array([-0.42, -0.2]), np.array([0.4, 0.22])
ROTOR_RADIUS, FAN_RADIUS = 0.27, 0.42

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class SimulatedStream:
    """Samples of one simulated sensor, as a logger would have stored them.

    samples: (n, C) or (n, H, W, C) in the stored dtype; physical value = sample * scale, in `unit`.
    rate: Hz. t0: time of the first sample, ns.
    """

    samples: NDArray[Any]
    rate: float
    t0: int
    modality: str
    unit: str
    scale: float
    channels: tuple[str, ...]

    @property
    def end(self) -> int:
        """One period after the last sample, ns."""
        return self.t0 + duration(self.rate, len(self.samples))


@dataclass(frozen=True)
class Machine:
    """A simulated machine and its sensors: what stays the same from recording to recording.

    speed: of the shaft, Hz. load: 0 to 1. resonance: Hz, of the bearing's seat. damping: 1/s, of that
    resonance. bearing_order: passes of a rolling element over the damaged place per turn. gain: of the
    accelerometer. mounting: (3, 3) rotation of the accelerometer, row by row. ambient: degC.
    blades: of the fan. camera: zoom, turn (rad), shift across and up. light: brightness across the
    picture and its slope. paint: (4, 3) colours of wall, motor, fan and marker, 0 to 1.
    """

    number: int
    speed: float
    load: float
    resonance: float
    damping: float
    bearing_order: float
    gain: float
    mounting: tuple[tuple[float, ...], ...]
    ambient: float
    blades: int
    camera: tuple[float, float, float, float]
    light: tuple[float, float]
    paint: tuple[tuple[float, ...], ...]

    @classmethod
    def draw(cls, number: int, *, seed: int = 0) -> Machine:
        """The machine of this number in the simulated plant of this seed; always the same one."""
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(number,)))
        axis = rng.normal(size=3)
        paint = [rng.uniform(0.25, 0.6, 3), rng.uniform(0.15, 0.65, 3), rng.uniform(0.1, 0.4, 3)]
        return cls(
            number=number,
            speed=rng.uniform(17.0, 31.0),
            load=rng.uniform(0.0, 1.0),
            resonance=rng.uniform(380.0, 800.0),
            damping=rng.uniform(150.0, 350.0),
            bearing_order=rng.uniform(2.8, 4.6),
            gain=rng.uniform(0.7, 1.4),
            mounting=_rows(_rotation(axis, rng.normal(0.0, 0.35))),
            ambient=rng.uniform(17.0, 29.0),
            blades=int(rng.integers(3, 6)),
            camera=(rng.uniform(0.88, 1.12), rng.normal(0.0, 0.09), *rng.uniform(-0.1, 0.1, 2)),
            light=(rng.uniform(0.65, 1.15), rng.uniform(-0.2, 0.2)),
            paint=_rows(np.array([*paint, rng.uniform(0.7, 1.0, 3)])),
        )

    @property
    def name(self) -> str:
        """Identity in archives, such as m03."""
        return f"m{self.number:02d}"


def simulate(
    machine: Machine, condition: str, *, seconds: float, seed: int, session: int = 0
) -> dict[str, SimulatedStream]:
    """One simulated recording: stream by modality. The same arguments give the same numbers.

    Args:
        condition: one of CONDITIONS.
        seconds: length; each stream has `round(seconds * rate)` samples.
        seed: of the plant.
        session: counts recordings of the same machine and condition; each draws afresh.

    Raises:
        ValueError: an unknown condition, or a length without a single temperature sample.
    """
    if condition not in CONDITIONS:
        raise ValueError(f"condition {condition!r} must be one of {', '.join(CONDITIONS)}")
    if round(seconds * TEMPERATURE_RATE) < 1:
        raise ValueError(f"seconds {seconds} must hold at least one temperature sample, so 0.5 or more")
    key = (machine.number, CONDITIONS.index(condition), session)
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))
    severity = rng.uniform(0.75, 1.25)
    acceleration = _acceleration(machine, condition, severity, _clock(seconds, ACCELERATION_RATE), rng)
    temperature = _temperature(machine, condition, severity, _clock(seconds, TEMPERATURE_RATE), rng)
    video = _video(machine, condition, severity, _clock(seconds, VIDEO_RATE), rng)
    # Loggers do not start at the same moment.
    starts = (rng.uniform(0.0, 1.0, 3) * (0.02, 0.4, 0.08) * SECOND).astype(np.int64).tolist()
    return {
        "acceleration": SimulatedStream(
            acceleration,
            ACCELERATION_RATE,
            starts[0],
            "acceleration",
            "m/s2",
            ACCELERATION_SCALE,
            ("x", "y", "z"),
        ),
        "temperature": SimulatedStream(
            temperature, TEMPERATURE_RATE, starts[1], "temperature", "degC", 1.0, ("housing",)
        ),
        "video": SimulatedStream(
            video, VIDEO_RATE, starts[2], "video", "1", 1 / 255, ("red", "green", "blue")
        ),
    }


def write_plant(
    folder: str | Path,
    *,
    machines: int = 12,
    seconds: float = 20.0,
    sessions: int = 1,
    seed: int = 0,
    conditions: Sequence[str] = CONDITIONS,
) -> list[Path]:
    """Write a simulated plant: a file a machine, in it a recording a condition and session.

    Each recording carries the identity `machine`, `session` and `simulated: yes`, and a label track
    `condition` over all of it.

    Returns:
        The files, in order of the machines.

    Raises:
        ArchiveError: a file exists already.
        ValueError: see `simulate`.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number in range(machines):
        machine = Machine.draw(number, seed=seed)
        paths.append(folder / f"{machine.name}.h5")
        with RecordingWriter(paths[-1]) as writer:
            for session in range(sessions):
                for condition in conditions:
                    streams = simulate(machine, condition, seconds=seconds, seed=seed, session=session)
                    _write_recording(writer, machine, condition, session, streams)
    return paths


def _write_recording(
    writer: RecordingWriter,
    machine: Machine,
    condition: str,
    session: int,
    streams: dict[str, SimulatedStream],
) -> None:
    identity = {"machine": machine.name, "session": f"s{session}", "simulated": "yes"}
    draft = writer.recording(f"{condition}_s{session}", clock="relative", identity=identity)
    for name, stream in streams.items():
        draft.add_stream(
            name,
            stream.samples,
            rate=stream.rate,
            modality=stream.modality,
            unit=stream.unit,
            t0=stream.t0,
            scale=stream.scale,
            channels=stream.channels,
        )
    start = min(stream.t0 for stream in streams.values())
    draft.add_labels("condition", [(start, max(stream.end for stream in streams.values()), condition)])


def _acceleration(
    machine: Machine, condition: str, severity: float, t: Floats, rng: np.random.Generator
) -> NDArray[np.int16]:
    """(n, 3): shaft orders, impulses through the bearing's resonance, and noise through the same."""
    turns = machine.speed * t + 0.02 * np.sin(0.7 * t + rng.uniform(0, 6)) + rng.uniform()
    if condition in ("looseness", "rotor_rub"):
        # A part that lifts and lands once in two turns: half orders, slowly falling.
        orders = np.arange(0.5, 6.1, 0.5)
        sizes = severity * 1.9 / np.sqrt(orders) * rng.uniform(0.6, 1.4, len(orders))
    else:
        orders = np.arange(1.0, 4.0)
        sizes = (0.8 + 0.5 * machine.load) / orders**1.2 * rng.uniform(0.6, 1.4, 3)
    phases = rng.uniform(0, 2 * np.pi, len(orders))
    # The vertical follows the horizontal by a quarter of a turn of each order.
    angle = 2 * np.pi * np.outer(orders, turns) + phases[:, None]
    force = rng.normal(0.0, 0.45 + 0.25 * machine.load, len(t))
    if condition == "bearing_fault":
        force += _impulses(machine, severity, t, rng)
    decay = np.arange(0.0, 6.0 / machine.damping, 1 / ACCELERATION_RATE)
    ring = np.exp(-machine.damping * decay) * np.sin(2 * np.pi * machine.resonance * decay)
    ringing = np.convolve(force, ring)[: len(t)]
    axes = np.stack(
        [sizes @ np.cos(angle), 0.8 * (sizes @ np.sin(angle)), 0.3 * (sizes @ np.cos(angle + 1))], 1
    )
    axes += ringing[:, None] * (0.8, 1.0, 0.4) + rng.normal(0.0, 0.25, axes.shape)
    axes = machine.gain * axes @ np.array(machine.mounting).T
    limits = np.iinfo(np.int16)
    return np.clip(np.rint(axes / ACCELERATION_SCALE), limits.min, limits.max).astype(np.int16)


def _impulses(machine: Machine, severity: float, t: Floats, rng: np.random.Generator) -> NDArray[np.float64]:
    """(n,): a blow at every pass of the damaged place, stronger when that is under load once a turn."""
    passes = machine.speed * machine.bearing_order
    # Rolling elements slip: the spacing wanders by a hundredth.
    times = np.cumsum(rng.normal(1.0, 0.01, int(len(t) / ACCELERATION_RATE * passes))) / passes
    index = np.rint(times * ACCELERATION_RATE).astype(np.int64)
    force = np.zeros(len(t))
    inside = index < len(t)
    blow = (
        severity
        * 9.0
        * (1 + 0.5 * np.cos(2 * np.pi * machine.speed * times))
        * rng.uniform(0.7, 1.3, len(times))
    )
    force[index[inside]] = blow[inside]
    return force


def _temperature(
    machine: Machine, condition: str, severity: float, t: Floats, rng: np.random.Generator
) -> Floats:
    """(n, 1): a body that tends, with its time constant, to where heat and cooling balance."""
    balance = machine.ambient + 12.0 + 8.0 * machine.load + rng.normal(0.0, 1.0)
    time_constant, goal = 20.0, np.full(len(t), balance)
    if condition in ("belt_slip", "fan_stopped"):
        # Friction heats, or cooling is missing: a new balance, far above.
        goal += severity * 28.0
    elif condition == "rotor_rub":
        # The shaft bows, touches, heats on the spot, wears itself free and touches again (Newkirk).
        period = rng.uniform(3.5, 5.5)
        goal += severity * 16.0 * ((t / period + rng.uniform()) % 1.0 < 0.35)
        time_constant = 2.5
    body = np.empty(len(t))
    now = balance
    for step, target in enumerate(goal):
        body[step] = now
        now += (target - now) / (time_constant * TEMPERATURE_RATE)
    draught = 0.4 * np.sin(2 * np.pi * (t / rng.uniform(15.0, 40.0) + rng.uniform()))
    return (body + draught + rng.normal(0.0, 0.1, len(t)))[:, None].astype(np.float32)


def _video(
    machine: Machine, condition: str, severity: float, t: Floats, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """(n, 64, 64, 3): the resting scene once, its moving parts frame by frame, then light and noise."""
    x, y = _picture_plane(machine)
    frames = np.repeat(_scene(machine, x, y)[None], len(t), axis=0)
    wall, motor, fan, marker = np.array(machine.paint, dtype=np.float32)
    sway = np.zeros((2, len(t), 1), np.float32)
    if condition in ("looseness", "rotor_rub"):
        sway = (severity * 0.06 * rng.normal(size=(2, len(t), 1))).astype(np.float32)
    _draw_belt(frames, x, y, t, creeping=condition == "belt_slip", rng=rng)
    _draw_fan(frames, x, y, t, machine, standing=condition == "fan_stopped", rng=rng)
    near = np.flatnonzero(np.hypot(x - ROTOR[0], y - ROTOR[1]) < ROTOR_RADIUS + 0.25)
    dx, dy = x[near] - ROTOR[0] - sway[0], y[near] - ROTOR[1] - sway[1]
    radius = np.hypot(dx, dy)
    _paint(frames, near, _edge(ROTOR_RADIUS - radius), 0.5 * motor + 0.35)
    # The exposure smears the marker over part of a turn.
    angle = np.arctan2(dy, dx) - (2 * np.pi * (machine.speed * t + rng.uniform()))[:, None]
    smear = np.clip(0.25 + 0.75 * np.cos(angle), 0.0, 1.0) * _edge(0.07 - np.abs(radius - 0.15))
    _paint(frames, near, smear.astype(np.float32), marker)
    _paint(frames, near, _edge(0.05 - radius), 0.3 * motor)
    if condition == "belt_slip":
        _draw_smoke(frames, x, y, t, severity, rng)
    level, slope = machine.light
    flicker = 1 + 0.03 * np.sin(2 * np.pi * (0.9 * t + rng.uniform())) + 0.01 * rng.normal(size=len(t))
    frames *= (255 * level * (1 + slope * x)[:, None]).astype(np.float32)
    frames *= flicker.astype(np.float32)[:, None, None]
    frames += rng.integers(-4, 5, frames.shape[:2], dtype=np.int8)[..., None]
    np.rint(frames / LEVEL_STEP, out=frames)
    frames *= LEVEL_STEP
    return np.clip(frames, 0, 252).astype(np.uint8).reshape(len(t), FRAME, FRAME, 3)
