"""YAML files that people write are read alike, and their mistakes told alike."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

from sensorkd.errors import ConfigError
from sensorkd.yaml_files import mistakes, read_yaml


class Recipe(BaseModel):
    model_config = ConfigDict(extra="forbid")
    eggs: int
    flour: int = 1


def keys(place: object) -> set[str]:
    assert place == []
    return set(Recipe.model_fields)


def test_a_file_is_a_tree(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("eggs: 3\n", encoding="utf-8")
    assert read_yaml(tmp_path / "x.yaml", what="recipe") == {"eggs": 3}


@pytest.mark.parametrize(
    ("content", "told"), [(None, "no such recipe"), (b"a: [", "not a YAML file"), (b"\xff\xfe\x00", "UTF-8")]
)
def test_a_file_that_is_none_is_told_with_its_path(tmp_path: Path, content: bytes | None, told: str) -> None:
    path = tmp_path / "x.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=told) as caught:
        read_yaml(path, what="recipe", examples="cookbook")
    assert caught.value.file == str(path)
    assert ("cookbook has some that work" in str(caught.value)) == (content is not None)


def test_every_mistake_stands_in_a_line_with_the_nearest_key() -> None:
    with pytest.raises(ValidationError) as caught:
        Recipe.model_validate({"eggs": "many", "flower": 2, "x": 1})
    told = mistakes(caught.value, keys).splitlines()
    assert told[1].strip().startswith("eggs: ")
    assert told[2].strip() == "flower: unknown key; did you mean 'flour'? known here: ['eggs', 'flour']"
    assert mistakes(caught.value, keys, listed=False).splitlines()[2].endswith("did you mean 'flour'?")
    assert mistakes(caught.value, keys, listed=False).splitlines()[3].endswith("x: unknown key")
