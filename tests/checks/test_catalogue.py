from __future__ import annotations

import re

import pytest

from sensorkd.checks import CHECKS, select_checks
from sensorkd.checks.catalogue import FAMILIES
from sensorkd.errors import ConfigError


def test_every_check_has_an_id_of_its_own_and_tells_why_and_what_to_do() -> None:
    assert sum(len(family.CHECKS) for family in FAMILIES) == len(CHECKS)
    for id_, check in CHECKS.items():
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", id_)
        assert check.title and "\n" not in check.title and not check.title.endswith(".")
        assert check.reason.endswith(".")
        assert check.cure and not check.cure.endswith(".")


def test_all_checks_are_made_unless_some_are_chosen() -> None:
    assert select_checks() == frozenset(CHECKS)
    assert select_checks(["stuck", "blank"]) == {"stuck", "blank"}
    assert select_checks(["stuck", "blank"], ["blank"]) == {"stuck"}


def test_importance_leaves_out_what_matters_less() -> None:
    assert {CHECKS[id_].importance for id_ in select_checks(importance="critical")} == {"critical"}
    assert {CHECKS[id_].importance for id_ in select_checks(importance="warning")} == {"critical", "warning"}


@pytest.mark.parametrize("options", [{"select": ["out-of-rnge"]}, {"ignore": ["out-of-rnge"]}])
def test_an_unknown_check_is_told_with_the_nearest(options: dict[str, list[str]]) -> None:
    with pytest.raises(
        ConfigError, match=r"no such check(.|\n)*'out-of-rnge'(.|\n)*'out-of-range'"
    ) as caught:
        select_checks(**options)
    assert caught.value.mend is not None and caught.value.expected is not None
