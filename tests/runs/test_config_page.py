"""The page of configuration keys says what the models say."""

from __future__ import annotations

from pathlib import Path

from sensorkd.distillation.methods import METHODS
from sensorkd.runs.config_page import SECTIONS, config_page

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"


def test_the_page_is_of_these_models() -> None:
    """If not: `python -m sensorkd.runs.config_page > docs/configuration.md`."""
    assert PAGE.read_text(encoding="utf-8") == config_page()


def test_every_key_stands_in_its_section() -> None:
    page = config_page()
    for place, model in SECTIONS.items():
        title = f"## `{place}`\n" if place else "## The run\n"
        (_, section) = page.split(title)
        keys = {line.split()[0] for line in section.split("\n## ")[0].splitlines() if line.startswith("    ")}
        assert set(model.model_fields) <= keys, place


def test_every_method_is_told_with_its_numbers() -> None:
    section = config_page().split("## Methods")[1]
    told = {line.split()[0] for line in section.splitlines() if line.startswith("    ")}
    assert set(METHODS) <= told
    assert "lsskd sad 1.0, cross 0.5, deep 0.5, feat 0.005, views 2, earlier ema" in " ".join(section.split())
