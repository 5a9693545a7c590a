"""Methods: named sets of weights on the terms of the loss. None has a loop of its own."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sensorkd.distillation.method_checks import check_method
from sensorkd.errors import ConfigError, nearest

__all__ = ["METHODS", "Method", "method_named"]

EarlierSelfName = Literal["none", "snapshot", "ema", "last_visit"]
AUXILIARY_TERMS = ("sad", "cross", "deep", "feat", "out")
TEACHER_TERMS = ("kd", "kd_views", "joint", "relation")
# Those that need no label: windows without one have them too, under the name with this behind it.
UNLABELLED = "_unlabelled"


@dataclass(frozen=True)
class Method:
    """Weights of the terms; 0 switches one off.

    label: the classifier that ships learns the label, or what it is softened to.
    sad: joint labels on every auxiliary. cross: a fused stage teaches its modalities. deep: the deepest
    fused auxiliary teaches the shallower ones. feat: L2 between their projections. out: the deepest
    auxiliary teaches the classifier that ships.
    kd: the teacher's classifier teaches the student's, of windows as they are; kd_views: of their transformed
    views. joint: every auxiliary of the teacher teaches the same one of the student, the mean over them.
    relation: views resemble their windows as they do to the teacher. teacher: whether it learned by labels
    alone (`plain`) or with joint labels (`layered`).
    views: views of a window in a step, the identity and `views - 1` others drawn at random.
    pretext: auxiliaries learn class and transform; else the class alone, of identity views.
    auxiliaries: after which stages they stand: of each modality, of the fusion, or both.
    smoothing: share of a label that is spread over all classes. mixup: both parameters of the Beta
    distribution that pairs of windows are mixed by; 0 mixes none.
    earlier: which earlier self softens targets: `snapshot`, of the epoch before; `ema`, a moving average
    with `decay`; `last_visit`, what was said of the window when it was last seen, up to `max_age` steps ago.
    alpha: how far targets are softened by the earlier self at the end; it rises linearly in steps from
    0 after `warmup`, a share of the steps. confidence: windows whose class it is less sure of are not
    softened.
    balance: `fixed` weights as they stand, or `auto`: they are learned in the run.
    unlabelled: weight of all terms of windows without a label; 0: they are not used. pseudo: how these are
    taught a class: by the likeliest one (`hard`), by all as likely as they are (`soft`, or `mse`: as
    squared differences), or not (`none`). pseudo_from: whose word that is, the network's `self`, its
    `earlier` self's, or that of a `visit`: once an epoch, after the warm-up, the earlier self labels the
    windows that come next, under all transforms. sharpness: a power that makes them surer. threshold: how
    likely a class must be. align: predictions are first brought to the class shares, where the run knows
    them. ramp: share of the steps over which the weight of pseudo-labels rises linearly from 0. strong: they
    are read from the window as it was logged, without augmentation and with all its sensors, and learned
    on the changed one. doubt: a run first cross-validates its labels; visits teach only where that leaves
    at most so much of the doubt of knowing nothing, and they ask the sensors that leave least; 0: visits
    always teach, and ask all sensors.
    """

    name: str
    label: float = 1.0
    sad: float = 0.0
    cross: float = 0.0
    deep: float = 0.0
    feat: float = 0.0
    out: float = 0.0
    views: int = 1
    temperature: float = 2.0
    earlier: EarlierSelfName = "none"
    alpha: float = 0.0
    warmup: float = 0.3
    kd: float = 0.0
    kd_views: float = 0.0
    joint: float = 0.0
    relation: float = 0.0
    teacher: Literal["none", "plain", "layered"] = "none"
    pretext: bool = True
    auxiliaries: Literal["both", "modality", "fused"] = "both"
    smoothing: float = 0.0
    mixup: float = 0.0
    decay: float = 0.995
    max_age: int = 2000
    confidence: float = 0.0
    balance: Literal["fixed", "auto"] = "fixed"
    unlabelled: float = 0.0
    pseudo: Literal["none", "hard", "soft", "mse"] = "none"
    pseudo_from: Literal["self", "earlier", "visit"] = "self"
    sharpness: float = 1.0
    threshold: float = 0.0
    align: bool = False
    ramp: float = 0.0
    strong: bool = False
    doubt: float = 0.0

    def __post_init__(self) -> None:
        check_method(self)

    @property
    def layered(self) -> bool:
        """Whether the auxiliaries take part."""
        return any(getattr(self, name) > 0 for name in (*AUXILIARY_TERMS, "joint", "relation"))

    @property
    def pseudo_labels(self) -> bool:
        """Whether windows without a label are taught a class."""
        return self.unlabelled > 0 and self.pseudo != "none"

    @property
    def pseudo_from_earlier(self) -> bool:
        """Whether the earlier self says which, in every step."""
        return self.pseudo_labels and self.pseudo_from == "earlier"

    @property
    def pseudo_from_visit(self) -> bool:
        """Whether it says so once an epoch."""
        return self.pseudo_labels and self.pseudo_from == "visit"

    def weights(self) -> dict[str, float]:
        """Term -> weight of the terms of labelled windows that are on."""
        terms = (*AUXILIARY_TERMS, *TEACHER_TERMS)
        on = {name: float(getattr(self, name)) for name in terms if getattr(self, name)}
        return {"label": self.label, **on}

    def unlabelled_weights(self, step: int, steps: int) -> dict[str, float]:
        """Term -> weight of the terms of windows without a label, in a step.

        What needs no label at all has its full weight from the start: it is true from the start. Only
        pseudo-labels wait for the network to know something.
        """
        if not self.unlabelled:
            return {}
        weights = {name: weight for name, weight in self.weights().items() if name != "label"}
        if not self.pretext:
            # Without a transform to name, a window without a label has nothing to say.
            weights.pop("sad", None)
        if self.alpha:
            weights["past"] = 1.0
        told = {name + UNLABELLED: self.unlabelled * weight for name, weight in weights.items()}
        if self.pseudo != "none":
            risen = self._risen(step, steps)
            told["pseudo"] = self.unlabelled * risen
            if self.sad:
                told["pseudo_sad"] = self.unlabelled * risen * self.sad
        return told

    def visits_at(self, step: int, steps: int) -> bool:
        """Whether the earlier self knows enough to label windows at the beginning of an epoch."""
        return self.pseudo_from_visit and step > 0 and step >= self.warmup * steps

    def _risen(self, step: int, steps: int) -> float:
        """Weight of pseudo-labels: it rises over `ramp`, from the start or from the end of the warm-up on."""
        since = step - (self.warmup * steps if self.pseudo_from_visit else 0)
        if not self.ramp:
            return float(since >= 0)
        return min(1.0, max(0.0, since / (self.ramp * steps)))

    def alpha_at(self, step: int, steps: int) -> float:
        """alpha in a step: 0 during the warm-up, then linear to `alpha` (PS-KD, counted in steps)."""
        progress = step / max(1, steps)
        return self.alpha * max(0.0, (progress - self.warmup) / (1.0 - self.warmup))

    def changed(self) -> dict[str, Any]:
        """Numbers that are not at their defaults, and those that methods had from the beginning."""
        always = ("name", *AUXILIARY_TERMS, "views", "temperature", "earlier", "alpha", "warmup")
        return {
            item.name: getattr(self, item.name)
            for item in dataclasses.fields(self)
            if item.name in always or getattr(self, item.name) != item.default
        }


METHODS = {
    method.name: method
    for method in (
        Method("ce"),
        # Szegedy et al., CVPR 2016.
        Method("label_smoothing", smoothing=0.1),
        # Zhang et al., ICLR 2018.
        Method("mixup", mixup=0.2),
        # Kim et al., ICCV 2021; alpha rises from the first step to 0.8, as published.
        Method("ps_kd", earlier="last_visit", alpha=0.8, warmup=0.0),
        # Zhang et al., ICCV 2019; weights and temperature as published, up to (1 - 0.3) on the labels.
        Method(
            "byot",
            sad=1.0,
            deep=0.3,
            feat=0.03,
            temperature=3.0,
            pretext=False,
            auxiliaries="fused",
        ),
        # Yang et al., IJCAI 2021, the auxiliaries alone.
        Method("sad", sad=1.0, views=2),
        # Hinton et al., 2015; weights and temperature as SSKD and others compare with it.
        Method("kd", label=0.1, kd=0.9, teacher="plain", temperature=4.0),
        # Xu et al., ECCV 2020; weights and temperature as published, all views.
        Method(
            "sskd",
            label=0.1,
            kd=0.9,
            kd_views=2.7,
            relation=10.0,
            teacher="layered",
            views=4,
            temperature=4.0,
        ),
        # Yang et al., IJCAI 2021: the mean over all four views of what the teacher's classifier says, and the
        # sum over the auxiliaries of three stages.
        Method("hsakd", kd=0.25, kd_views=0.75, joint=3.0, teacher="layered", views=4, temperature=3.0),
        # Dahri et al., 2025, for several sensors; what is ours and why its numbers are these: docs/method.md.
        Method(
            "lsskd",
            sad=1.0,
            cross=0.5,
            deep=0.5,
            feat=0.005,
            views=2,
            warmup=0.3,
            earlier="ema",
            decay=0.98,
            unlabelled=1.0,
            pseudo="soft",
            pseudo_from="visit",
            sharpness=3.0,
            threshold=0.7,
            align=True,
            ramp=0.3,
            doubt=0.7,
        ),
        # Lee, ICML workshop 2013.
        Method("pseudo_label", unlabelled=1.0, pseudo="hard", ramp=0.5),
        # Sohn et al., NeurIPS 2020.
        Method("fixmatch", unlabelled=1.0, pseudo="hard", threshold=0.95, strong=True),
        # Tarvainen & Valpola, NeurIPS 2017; of 100 times the squared difference, as published. Their decay
        # of 0.999 is for tens of thousands of steps.
        Method(
            "mean_teacher",
            unlabelled=100.0,
            pseudo="mse",
            pseudo_from="earlier",
            earlier="ema",
            decay=0.99,
            ramp=0.2,
            strong=True,
        ),
    )
}


def method_named(name: str, changes: Mapping[str, Any] | None = None) -> Method:
    """A method by name, with some of its numbers changed (for ablations).

    Raises:
        ConfigError: no such method, or no such number.
    """
    if name not in METHODS:
        raise ConfigError(
            f"no method {name!r}",
            inside="method.name",
            expected=f"one of {sorted(METHODS)}",
            mend=nearest(name, METHODS) or None,
        )
    known = {item.name for item in dataclasses.fields(Method)} - {"name"}
    for key in changes or {}:
        if key not in known:
            raise ConfigError(
                f"a method has no {key!r}",
                inside=f"method.{key}",
                expected=sorted(known),
                mend=nearest(key, known) or None,
            )
    return dataclasses.replace(METHODS[name], **(changes or {}))
