"""Which code ran a cell: other code is told apart, and what cannot change a result is not other code."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from sensorkd_adapters.temperature import TemperatureAdapter

import sensorkd
from sensorkd.evaluation.benchmark_code import LEFT_OUT, code_digest
from sensorkd.models.encoders import SignalEncoder

ROOT = Path(sensorkd.__file__).parent
ADAPTER = '"""What it is."""\n\n\nclass Adapter:\n    """A sensor."""\n\n    gain = 2\n'
ASK = """
import {module} as module
from sensorkd.evaluation.benchmark_code import code_digest
{then}
print(code_digest([module.Adapter]))
"""


def asked(folder: Path, module: str = "works_adapters.heat", then: str = "") -> str:
    """The digest of an adapter in that folder, as another process tells it."""
    ask = ASK.format(module=module, then=then)
    environment = {"PYTHONPATH": f"{folder}:{ROOT.parent}", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.check_output([sys.executable, "-P", "-c", ask], env=environment, text=True).strip()


@pytest.fixture
def works(tmp_path: Path) -> Path:
    """A folder with a package of adapters."""
    package = tmp_path / "works_adapters"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "more.py").write_text("SPEED = 3\n")
    (package / "heat.py").write_text(ADAPTER)
    return tmp_path


def test_comments_and_docstrings_are_no_other_version(works: Path) -> None:
    before = asked(works)
    heat = works / "works_adapters" / "heat.py"
    heat.write_text(ADAPTER.replace("A sensor.", "Warm.").replace("2", "2  # as measured"))
    assert asked(works) == before
    heat.write_text(ADAPTER.replace("2", "3"))
    assert asked(works) != before


def test_the_whole_package_of_an_adapter_counts(works: Path) -> None:
    before = asked(works)
    (works / "works_adapters" / "more.py").write_text("SPEED = 4\n")
    assert asked(works) != before


def test_code_is_told_as_it_was_loaded(tmp_path: Path) -> None:
    """Or a run of hours would be told by what was written meanwhile."""
    shutil.copytree(ROOT, tmp_path / "sensorkd", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "works.py").write_text(ADAPTER)
    before = asked(tmp_path, "works")
    errors = tmp_path / "sensorkd" / "errors.py"
    then = f"open({str(errors)!r}, 'a').write('MORE = 1')"
    assert asked(tmp_path, "works", then) == before
    assert asked(tmp_path, "works") != before


@pytest.mark.parametrize("text", ["class Adapter: '", "gain = 2\0"])
def test_files_that_are_no_python_do_not_fail(works: Path, text: str) -> None:
    before = asked(works)
    (works / "works_adapters" / "template.py").write_text(text)
    assert asked(works) != before


def test_sources_that_cannot_be_read_do_not_fail(works: Path) -> None:
    archive = shutil.make_archive(str(works / "works"), "zip", works, "works_adapters")
    zipped = asked(Path(archive))
    assert len(zipped) == 12 and zipped != asked(works)
    here = type("Adapter", (), {"__module__": "__main__"})
    gone = type("Adapter", (), {"__module__": "no_such_package.heat"})
    told = {code_digest(), code_digest([here]), code_digest([gone]), code_digest([int])}
    assert len(told) == 4 and all(len(digest) == 12 for digest in told)


def test_what_is_in_sensorkd_is_told_once() -> None:
    assert code_digest([SignalEncoder]) == code_digest()
    assert code_digest([TemperatureAdapter]) != code_digest()


def test_no_cell_depends_on_what_is_left_out() -> None:
    """Nothing that is imported for a cell, or by an adapter, directly or through others."""
    adapters = ROOT.parent / "adapters" / "sensorkd_adapters"
    waiting = {"sensorkd.evaluation.benchmark_cell"}
    waiting |= {name for path in adapters.glob("*.py") for name in imported(path)}
    seen: set[Path] = set()
    while waiting:
        path = file_of(waiting.pop())
        # The package itself names everything, and imports it where it is asked for.
        if path is not None and path not in seen and path != ROOT / "__init__.py":
            seen.add(path)
            waiting |= imported(path)
    places = [path.relative_to(ROOT).as_posix() for path in seen]
    assert "runs/train.py" in places and "models/spectrum.py" in places
    assert [place for place in places if place.startswith(LEFT_OUT) and place != "_version.py"] == []
    every = [path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py")]
    assert [part for part in LEFT_OUT if not any(place.startswith(part) for place in every)] == []


def imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {item.name for item in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{item.name}" for item in node.names)}
    return found


def file_of(module: str) -> Path | None:
    """None of what is no module of sensorkd."""
    first, *rest = module.split(".")
    place = ROOT.joinpath(*rest)
    paths = [place.with_suffix(".py"), place / "__init__.py"] if first == "sensorkd" else []
    return next((path for path in paths if path.is_file()), None)
