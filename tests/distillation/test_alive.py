from __future__ import annotations

import pytest

from sensorkd.distillation.alive import MAY_WAIT, AliveCheck, check_alive
from sensorkd.errors import DeadTermError


def test_only_what_may_wait_waits_and_only_while_it_is_zero(layered):
    alive = next(layered.parameters()).square().sum()
    zero = alive.new_zeros(())
    terms = {"label": alive, "pseudo": zero, "pseudo_sad": alive}
    assert check_alive(terms, layered, may_wait=MAY_WAIT) == {"pseudo"}
    assert check_alive({"pseudo": alive}, layered, may_wait=MAY_WAIT) == set()
    with pytest.raises(DeadTermError, match="'sad_unlabelled'") as caught:
        check_alive({"sad_unlabelled": zero}, layered, may_wait=MAY_WAIT)
    assert "method.sad=0" in str(caught.value)


def test_a_pseudo_label_that_moves_nothing_is_dead_although_it_may_wait(layered):
    alive = next(layered.parameters()).square().sum()
    with pytest.raises(DeadTermError, match="no gradient") as caught:
        check_alive({"pseudo": alive.detach()}, layered, may_wait=MAY_WAIT)
    assert "method.unlabelled=0" in str(caught.value)


def test_after_the_first_step_only_terms_that_waited_are_looked_at(layered):
    alive = next(layered.parameters()).square().sum()
    zero = alive.new_zeros(())
    check = AliveCheck(layered, begun=False)
    assert check.waiting == []
    check.check({"label": alive, "pseudo": zero})
    check.check({"label": zero, "pseudo": zero, "pseudo_sad": zero})
    assert check.waiting == ["pseudo", "pseudo_sad"]
    check.check({"pseudo_sad": alive})
    assert check.waiting == ["pseudo"]
    with pytest.raises(DeadTermError, match="'pseudo'"):
        check.check({"pseudo": alive.detach()})
    # A run that is resumed has its first step behind it.
    resumed = AliveCheck(layered, begun=True)
    resumed.check({"label": zero, "pseudo": zero})
    assert resumed.waiting == [], "it may have taught before"
    with pytest.raises(DeadTermError, match="'label'"):
        AliveCheck(layered, begun=False).check({"label": zero})
