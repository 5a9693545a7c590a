"""Refuses methods whose numbers do not go together, before a run does less than it was asked to."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from sensorkd.errors import ConfigError

if TYPE_CHECKING:
    from sensorkd.distillation.methods import Method

__all__ = ["check_method"]

TAUGHT = ("kd", "kd_views", "joint", "relation")
WEIGHTS = ("label", "sad", "cross", "deep", "feat", "out", *TAUGHT, "unlabelled")
OF_FUSION = ("cross", "deep", "feat", "out", "joint", "relation")


def check_method(method: Method) -> None:
    """Every way in which a method can contradict itself.

    Raises:
        ConfigError: the first of them, with what would be right.
    """
    _check_weights(method)
    _check_earlier(method)
    _check_ranges(method)
    _check_views(method)
    _check_auxiliaries(method)
    _check_teacher(method)
    _check_unlabelled(method)


def _check_weights(method: Method) -> None:
    weights = {name: float(getattr(method, name)) for name in WEIGHTS}
    if not all(0 <= weight < math.inf for weight in weights.values()):
        raise ConfigError(
            "a loss weight is negative or not finite",
            inside="method",
            found=weights,
            expected="0, which switches a term off, or more",
        )
    if method.label == 0:
        raise ConfigError(
            "nothing learns the labels",
            inside="method.label",
            found=0,
            expected="more than 0: no other term trains the classifier that ships by them",
        )
    if method.balance == "auto" and len(method.weights()) < 2:
        raise ConfigError(
            "there is nothing to balance",
            inside="method.balance",
            found=f"auto, with the term {next(iter(method.weights()))!r} alone",
            expected="two terms or more",
            mend="set method.balance=fixed",
        )


def _check_earlier(method: Method) -> None:
    # Also where unlabelled is 0: then all that goes with it rests.
    asked = method.pseudo != "none" and method.pseudo_from != "self"
    used = method.alpha > 0 or asked
    if used != (method.earlier != "none"):
        raise ConfigError(
            "softened targets need both an earlier self and an alpha above 0",
            inside="method",
            found=f"earlier: {method.earlier}, alpha: {method.alpha}",
            expected="both, or neither; or pseudo-labels from the earlier self",
        )
    if method.confidence > 0 and method.alpha == 0:
        raise ConfigError(
            "a confidence says which targets are softened, and none is",
            inside="method.confidence",
            found=f"{method.confidence} with alpha: 0",
            mend="set method.alpha above 0, or method.confidence=0",
        )
    if method.earlier == "last_visit":
        if method.mixup > 0:
            raise ConfigError(
                "a mixture of windows is never seen twice",
                inside="method.earlier",
                found=f"last_visit with mixup: {method.mixup}",
                mend="set method.earlier=snapshot or method.mixup=0",
            )
        if asked:
            raise ConfigError(
                "pseudo-labels need an earlier self that can be asked about any window",
                inside="method.pseudo_from",
                found="earlier: last_visit",
                expected="earlier: ema or snapshot",
            )


def _check_ranges(method: Method) -> None:
    shares = (method.confidence, method.threshold, method.ramp)
    good = (
        0 <= method.alpha < 1
        and 0 <= method.warmup < 1
        and 0 < method.temperature < math.inf
        and 0 <= method.smoothing < 1
        and 0 <= method.mixup < math.inf
        and 0 < method.decay < 1
        and 0 < method.sharpness < math.inf
        and all(0 <= share <= 1 for share in shares)
        and 0 <= method.doubt < math.inf
    )
    if not good or method.views < 1 or method.max_age < 1:
        raise ConfigError(
            "a method's number is out of range",
            inside="method",
            found=method,
            expected="0 <= alpha, warmup, smoothing < 1; 0 < decay < 1; 0 <= confidence, threshold, ramp <= 1"
            "; temperature, sharpness > 0; mixup, doubt >= 0; views and max_age at least 1",
        )


def _check_views(method: Method) -> None:
    if method.views > 1 and not method.layered:
        raise ConfigError(
            "views beyond the identity serve the auxiliaries only",
            inside="method",
            found=f"views: {method.views} with every auxiliary term at 0",
            expected="views: 1, or sad above 0",
        )
    if method.views > 1 and not method.pretext:
        raise ConfigError(
            "auxiliaries that learn the class alone see the identity view alone",
            inside="method",
            found=f"pretext: false, views: {method.views}",
            expected="views: 1, or pretext: true",
        )
    for name in ("relation", "kd_views"):
        if getattr(method, name) and method.views < 2:
            raise ConfigError(
                "what is taught of transformed views needs views",
                inside=f"method.{name}",
                found="views: 1",
                expected="views: 2 or more",
            )


def _check_auxiliaries(method: Method) -> None:
    if method.auxiliaries == "both" and method.pretext:
        return
    if not method.layered:
        raise ConfigError(
            "the method has no auxiliaries to place or to teach",
            inside="method",
            found=f"auxiliaries: {method.auxiliaries}, pretext: {method.pretext}, every term of theirs at 0",
            mend="set method.sad above 0, or leave both as they are",
        )
    needing = {"both": ("joint",), "fused": ("cross", "joint"), "modality": OF_FUSION}[method.auxiliaries]
    homeless = [name for name in needing if getattr(method, name) > 0]
    if homeless:
        raise ConfigError(
            "a term needs auxiliaries that the method does without",
            inside="method",
            found=f"{', '.join(homeless)} above 0 with auxiliaries: {method.auxiliaries}, "
            f"pretext: {str(method.pretext).lower()}",
            mend=" ".join(f"method.{name}=0" for name in homeless),
        )


def _check_teacher(method: Method) -> None:
    taught = [name for name in TAUGHT if getattr(method, name) > 0]
    if bool(taught) != (method.teacher != "none"):
        raise ConfigError(
            "a teacher needs a term, and the terms kd, kd_views, joint and relation need a teacher",
            inside="method.teacher",
            found=f"teacher: {method.teacher}, with {', '.join(taught) or 'none of them'} above 0",
            expected="both, or neither",
        )
    if method.teacher == "plain" and taught != ["kd"]:
        raise ConfigError(
            "a plain teacher never saw a transformed window",
            inside="method.teacher",
            found=f"plain, with {', '.join(taught)} above 0",
            expected="teacher: layered, or kd alone",
        )


def _check_unlabelled(method: Method) -> None:
    if not method.unlabelled:
        return
    echo = method.pseudo in ("soft", "mse") and method.pseudo_from == "self"
    if echo and not method.strong:
        raise ConfigError(
            "what the network says of a window itself teaches it nothing",
            inside="method.pseudo",
            found=f"{method.pseudo} from self, of the very view that learns it",
            expected="strong: true, pseudo_from: earlier, or pseudo: hard",
        )
    if method.pseudo_from_visit and method.strong:
        raise ConfigError(
            "a visit reads every window as it was logged already",
            inside="method.strong",
            found="strong: true with pseudo_from: visit",
            mend="leave method.strong out",
        )
    if method.doubt and not method.pseudo_from_visit:
        raise ConfigError(
            "only visits are doubted",
            inside="method.doubt",
            found=f"{method.doubt} with pseudo: {method.pseudo}, pseudo_from: {method.pseudo_from}",
            expected="0, or pseudo_from: visit",
            mend="set method.doubt=0",
        )
    if method.pseudo == "none":
        idle = [name for name in ("threshold", "align", "ramp", "strong") if getattr(method, name)]
        if idle:
            raise ConfigError(
                "numbers of pseudo-labels do nothing without them",
                inside="method",
                found=f"{', '.join(idle)} with pseudo: none",
                expected="pseudo: hard, soft or mse",
            )
        if not (method.layered or method.teacher != "none" or method.alpha):
            raise ConfigError(
                "windows without a label have nothing to teach this method",
                inside="method.unlabelled",
                found=f"{method.unlabelled} with pseudo: none and every other term at 0",
                mend="set method.pseudo=hard, method.sad above 0, or method.unlabelled=0",
            )
