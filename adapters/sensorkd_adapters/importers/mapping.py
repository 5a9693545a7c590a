"""What the mappings of all importers have in common, and how one is read from YAML."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from sensorkd.errors import ConfigError
from sensorkd.yaml_files import mistakes, read_yaml

__all__ = [
    "FilePart",
    "ImportMapping",
    "Number",
    "Rate",
    "StreamMapping",
    "Strict",
    "Target",
    "Timezone",
    "load_mapping",
]


class Strict(BaseModel):
    """Frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"{name!r} is unknown; a name like Europe/Berlin") from error
    return name


def _not_zero(scale: float) -> float:
    if scale == 0:
        raise ValueError("scale must not be 0")
    return scale


Number = Annotated[float, Field(allow_inf_nan=False)]
Rate = Annotated[float, Field(allow_inf_nan=False, gt=0)]
Timezone = Annotated[str, AfterValidator(_zone)]
Dtype = Literal[
    "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64"
]


class FilePart(Strict):
    """Taken from the source's name: its own without the suffix, or its folder's."""

    file: Literal["stem", "parent"]

    def of(self, source: Path, stem: str) -> str:
        """The text for a source whose name without suffix is `stem`."""
        return stem if self.file == "stem" else source.resolve().parent.name


class Target(Strict):
    """A label: the column that tells it, and what its cells stand for.

    classes: text of a cell -> class, null for unknown. Without it, the text is the class. An empty cell
    means unknown. optional: files without the column have no such label.
    """

    column: str
    classes: Mapping[str, str | None] = {}
    optional: bool = False


class StreamMapping(Strict):
    """What a stream's numbers mean: physical value = number * scale + offset, in `unit`.

    dtype: how numbers are stored. channels: names of the columns or files, where theirs will not do.
    """

    modality: Annotated[str, Field(min_length=1)]
    unit: Annotated[str, Field(min_length=1)]
    scale: Annotated[Number, AfterValidator(_not_zero)] = 1.0
    offset: Number = 0.0
    dtype: Dtype = "float32"
    channels: tuple[str, ...] = ()


class ImportMapping(Strict):
    """What every mapping begins with. identity: what splits refer to, constant or from the source's name."""

    schema_: Literal["import-1.0"] = Field(alias="schema")
    importer: str
    name: str
    about: str = ""
    identity: Mapping[str, str | FilePart] = {}

    def identity_of(self, source: Path, stem: str) -> dict[str, str]:
        """The identity of what a source holds."""
        return {
            key: value if isinstance(value, str) else value.of(source, stem)
            for key, value in self.identity.items()
        }


M = TypeVar("M", bound=ImportMapping)


def load_mapping(path: Path | None, model: type[M]) -> M:
    """Read a mapping from a YAML file.

    Raises:
        ConfigError: none is named, it is not YAML, it is for another importer, or it is not valid; every
            mistake is listed at once.
    """
    (name,) = get_args(model.model_fields["importer"].annotation)
    if path is None:
        raise ConfigError(
            f"importer {name!r} needs a mapping that says what is what",
            found="none",
            expected="a YAML file",
            mend="name one with --mapping; examples/imports has some, adapters/README.md explains them",
        )
    tree = read_yaml(path, what="mapping", examples="examples/imports")
    told = tree.get("importer", name) if isinstance(tree, dict) else name
    if told != name:
        raise ConfigError(
            "the mapping is for another importer",
            file=path,
            inside="importer",
            found=told,
            expected=name,
            mend=f"call it with --importer {told}, or name another mapping",
        )
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        raise ConfigError(
            "the mapping is not valid",
            file=path,
            found=mistakes(error, lambda _: set(_keys(model.model_json_schema())), listed=False),
            expected="import-1.0",
            mend="data_schemas/import-1.0.json describes every field; examples/imports has some that work",
        ) from error


def _keys(schema: Mapping[str, Any]) -> Iterator[str]:
    """Every key that a mapping may have, at any depth."""
    yield from schema.get("properties", ())
    for inner in schema.get("$defs", {}).values():
        yield from _keys(inner)
