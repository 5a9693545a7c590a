"""A simulated machine, and what its three sensors see of it. `plant.py` says what it stands for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["SENSORS", "Array", "Machine", "Run"]

LOOSE = ("looseness", "rotor_rub")
ACCELERATION_RATE, ACCELERATION_SCALE = 2000.0, 160.0 / 32767  # Hz; +-16 g, as common MEMS sensors have
# A cheap camera: levels come in steps, of which noise is a small part, so that it costs few bytes.
FRAME, LEVEL_STEP, NOISE = 64, 6, 0.06
# Array on the simulated machine, x + iy in half widths of the picture: x to the right, y upwards.
ROTOR, PULLEY, FAN = -0.45 - 0.2j, 0.55 - 0.5j, 0.3 + 0.38j
ROTOR_RADIUS, PULLEY_RADIUS, FAN_RADIUS = 0.27, 0.17, 0.4
Array = NDArray[Any]


class Machine:
    """The machine of a number in the plant of a seed, and its sensors: what all its recordings share."""

    def __init__(self, number: int, *, seed: int = 0) -> None:
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(number,)))
        axes, upper = np.linalg.qr(np.eye(3) + rng.normal(0.0, 0.2, (3, 3)))  # turned a little
        # Grey, tinted: wall, motor, fan, and the bright marker on the shaft.
        paint = rng.uniform(((0.3,), (0.2,), (0.15,), (0.8,)), ((0.55,), (0.5,), (0.35,), (0.9,)), (4, 1))
        self.number, self.seed = number, seed
        self.speed = rng.uniform(17.0, 31.0)  # of the shaft, Hz
        self.load = rng.uniform(0.0, 1.0)
        self.resonance = rng.uniform(380.0, 800.0)  # of the bearing's seat, Hz
        self.bearing_order = rng.uniform(2.8, 4.6)  # rolling elements that pass the damaged place per turn
        self.mounting = rng.uniform(0.8, 1.25) * axes * np.sign(np.diag(upper))  # of the accelerometer
        self.ambient = rng.uniform(19.0, 27.0)  # degC
        self.blades = int(rng.integers(3, 6))  # of the fan
        # Of the camera: its shift and, as a complex number, its zoom and turn.
        self.camera = complex(*rng.uniform(-0.07, 0.07, 2)), complex(*rng.normal((1.0, 0.0), (0.05, 0.06)))
        self.light = rng.uniform(0.75, 1.1), rng.uniform(-0.15, 0.15)  # and its slope across the picture
        self.paint = paint + rng.uniform(-0.09, 0.09, (4, 3))  # colours, 0 to 1


@dataclass(frozen=True)
class Run:
    """What one sensor looks at: a machine in a condition at the times t, s. Arrays are (n,)."""

    machine: Machine
    condition: str
    t: Array
    severity: Array
    load: Array
    ambient: Array  # degC
    rng: np.random.Generator


def acceleration(run: Run) -> Array:
    """(n, 3), AC-coupled: shaft orders; bearing noise and blows, which ring at the seat's resonance."""
    machine, t, rng = run.machine, run.t, run.rng
    orders, fall, size = np.arange(1.0, 4.0), 1.0, 0.8 + 0.5 * run.load
    if run.condition in LOOSE:
        # A part that lifts and lands once in two turns: half orders, slowly falling.
        orders, fall, size = np.arange(0.5, 6.1, 0.5), 0.5, 2.2 * run.severity
    turns = machine.speed * t + 0.02 * np.sin(0.7 * t + rng.uniform(0, 6)) + rng.uniform()
    angle = 2 * np.pi * (np.outer(orders, turns) + rng.uniform(size=(len(orders), 1)))
    shares = rng.uniform(0.6, 1.4, len(orders)) / orders**fall
    across, up = size * (shares @ np.cos(angle)), size * (shares @ np.sin(angle))  # a quarter turn apart
    force = rng.normal(0.0, 0.45 + 0.25 * run.load, len(t))
    if run.condition == "bearing_fault":
        # Rolling elements slip by a hundredth; a blow is stronger where the load is, once a turn.
        passes = machine.speed * machine.bearing_order
        blow = np.cumsum(rng.normal(1.0, 0.01, int(len(t) / ACCELERATION_RATE * passes))) / passes
        struck = (blow * ACCELERATION_RATE).astype(int).clip(0, len(t) - 1)
        force[struck] += 12.0 * run.severity[struck] * (1 + 0.5 * np.cos(2 * np.pi * machine.speed * blow))
    after = np.arange(50) / ACCELERATION_RATE
    ring = np.exp(-after / 0.004) * np.sin(2 * np.pi * machine.resonance * after)
    ringing = np.convolve(force, ring)[: len(t)]
    axes = np.stack([across + 0.8 * ringing, 0.8 * up + ringing, 0.3 * across + 0.4 * ringing], axis=1)
    axes = (axes + rng.normal(0.0, 0.25, axes.shape)) @ machine.mounting.T
    return np.asarray(np.rint(axes / ACCELERATION_SCALE).clip(-32768, 32767), dtype=np.int16)


def temperature(run: Run) -> Array:
    """(n, 1): a body that tends, with its time constant, to where heating and cooling balance."""
    t, rng = run.t, run.rng
    body = run.ambient + 14.0 + 5.0 * run.load + rng.normal(0.0, 0.5)
    goal, time_constant = body.copy(), 20.0
    if run.condition in ("belt_slip", "fan_stopped"):
        goal += 30.0 * run.severity  # friction heats, or cooling is missing
    elif run.condition == "rotor_rub":
        # The shaft bows, touches, heats on the spot, wears itself free and touches again (Newkirk).
        goal += 16.0 * run.severity * ((t / rng.uniform(3.5, 5.5) + rng.uniform()) % 1.0 < 0.35)
        time_constant = 2.5
    for step, share in enumerate(np.minimum(np.diff(t) / time_constant, 1.0), start=1):
        body[step] = body[step - 1] + share * (goal[step] - body[step - 1])
    draught = 0.4 * np.sin(2 * np.pi * (t / rng.uniform(15.0, 40.0) + rng.uniform()))
    return np.asarray(body + draught + rng.normal(0.0, 0.1, len(t)), dtype=np.float32)[:, None]


def video(run: Run) -> Array:
    """(n, 64, 64, 3): what rests, drawn once; what moves, frame by frame; then light and noise."""
    (shift, zoom), (level, slope), rng = run.machine.camera, run.machine.light, run.rng
    wall, motor, fan, _ = run.machine.paint
    grid = (np.arange(FRAME) + 0.5) / FRAME * 2 - 1
    # Where on the machine each pixel (4096, 1) looks; time is the last axis of frames, to paint faster.
    place = (grid[None, :] - 1j * grid[:, None]).reshape(-1, 1) / zoom - shift
    body = np.maximum(np.abs(place.real - ROTOR.real) - 0.4, np.abs(place.imag - ROTOR.imag + 0.08) - 0.42)
    frames = np.full((len(place), 3, 1), wall[:, None], dtype=np.float32)
    everywhere = np.arange(len(place))
    _paint(frames, everywhere, -0.72 - place.imag, 0.6 * wall)
    _paint(frames, everywhere, -body, motor)
    _paint(frames, everywhere, FAN_RADIUS + 0.06 - np.abs(place - FAN), 0.5 * fan)
    _paint(frames, everywhere, PULLEY_RADIUS - np.abs(place - PULLEY), np.full(3, 0.45))
    frames = np.repeat(frames, len(run.t), axis=2)
    for draw in (_draw_belt, _draw_fan, _draw_rotor):
        draw(frames, place, run)
    flicker = 1 + 0.01 * np.sin(2 * np.pi * (0.9 * run.t + rng.uniform()))
    light = np.outer(255 / LEVEL_STEP * level * (1 + slope * place.real), flicker)
    frames *= light.astype(np.float32)[:, None]
    frames += rng.random((*frames.shape[:2], 1), dtype=np.float32)  # pixels differ for good
    frames += NOISE * rng.random((len(place), 1, len(run.t)), dtype=np.float32)  # and flicker by much less
    levels = np.clip(frames, 0, 255 // LEVEL_STEP, out=frames).astype(np.uint8) * np.uint8(LEVEL_STEP)
    return np.ascontiguousarray(levels.transpose(2, 0, 1)).reshape(-1, FRAME, FRAME, 3)


def _draw_belt(frames: Array, place: Array, run: Run) -> None:
    """Two strands whose teeth are a blur at speed, and crawl in jerks when the belt slips."""
    length = abs(PULLEY - ROTOR)
    along = (place - ROTOR) / (PULLEY - ROTOR)  # real: 0 at the rotor, 1 at the pulley; imaginary: the side
    strand = 0.05 - np.abs(length * np.abs(along.imag) - 0.24 + 0.07 * along.real)
    pixels = np.flatnonzero((strand > -0.05) & (np.abs(along.real - 0.5) < 0.5))
    strand, along = strand[pixels], along[pixels]
    crawl = np.cumsum(run.rng.uniform(0.0, 0.06, len(run.t))) * np.sign(along.imag)
    teeth = np.sin(2 * np.pi / 0.22 * (length * along.real + crawl))
    contrast = 0.5 if run.condition == "belt_slip" else 0.02
    _paint(frames, pixels, strand, np.full(3, 0.1))
    _paint(frames, pixels, strand, np.full(3, 0.6), 0.5 + contrast * teeth)


def _draw_fan(frames: Array, place: Array, run: Run) -> None:
    """A disc of smeared blades, or blades at rest."""
    fan, standing = run.machine.paint[2], run.condition == "fan_stopped"
    pixels = np.flatnonzero(np.abs(place - FAN) < FAN_RADIUS + 0.05)
    arm = place[pixels] - FAN
    turned = 0.0 if standing else 6.7 * run.machine.speed * run.t
    wave = np.sin(run.machine.blades * (np.angle(arm) - turned) + run.rng.uniform(0, 6))
    blades = np.clip(0.5 + (2.0 if standing else 0.06) * wave, 0.0, 1.0)
    _paint(frames, pixels, FAN_RADIUS - np.abs(arm), fan + 0.4, blades)
    _paint(frames, pixels, 0.09 - np.abs(arm), 0.4 * fan)


def _draw_rotor(frames: Array, place: Array, run: Run) -> None:
    """The shaft's disc, which wobbles when loose; the exposure smears its marker over part of a turn."""
    _, motor, _, marker = run.machine.paint
    wobble = 0.09 * run.severity.max() if run.condition in LOOSE else 0.0
    pixels = np.flatnonzero(np.abs(place - ROTOR) < ROTOR_RADIUS + 3.5 * wobble + 0.05)
    sway = wobble * (run.rng.normal(size=len(run.t)) + 1j * run.rng.normal(size=len(run.t)))
    arm = place[pixels] - ROTOR - sway
    turned, radius = 2 * np.pi * (run.machine.speed * run.t + run.rng.uniform()), np.abs(arm)
    smear = np.clip(0.25 + 0.75 * np.cos(np.angle(arm) - turned), 0.0, 1.0)
    _paint(frames, pixels, ROTOR_RADIUS - radius, 0.5 * motor + 0.35)
    _paint(frames, pixels, 0.06 - np.abs(radius - 0.17), marker, smear)
    _paint(frames, pixels, 0.06 - radius, 0.3 * motor)


def _paint(frames: Array, pixels: Array, depth: Array, colour: Array, share: Array | float = 1.0) -> None:
    """Blend a colour (3,) into pixels of frames (4096, 3, n); depth (pixels, n or 1): below the edge."""
    cover = share * np.clip(0.5 + depth * (FRAME / 3), 0.0, 1.0)  # the edge is a pixel and a half wide
    cover, under = cover.astype(np.float32)[:, None], frames[pixels]
    frames[pixels] = under + cover * (colour.astype(np.float32)[:, None] - under)


# What makes the samples of each modality; rate (Hz), unit, scale and channels.
SENSORS: dict[str, tuple[Callable[[Run], Array], float, str, float, tuple[str, ...]]] = {
    "acceleration": (acceleration, ACCELERATION_RATE, "m/s2", ACCELERATION_SCALE, ("x", "y", "z")),
    "temperature": (temperature, 2.0, "degC", 1.0, ("housing",)),
    "video": (video, 12.0, "1", 1 / 255, ("red", "green", "blue")),
}
