from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from sensorkd.errors import ArchiveError, SensorkdError
from sensorkd.recordings import guard, open_recordings
from sensorkd.recordings.guard import GuardedFile, plain

Refused = Callable[..., Any]


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file of this computer that no archive may reach."""
    path = tmp_path / "secret.h5"
    with h5py.File(path, "w") as file:
        file["keys/data"] = np.arange(10)
    return path


@pytest.fixture
def foreign(tmp_path: Path) -> Iterator[h5py.File]:
    """A foreign file being written; close it to read it."""
    with h5py.File(tmp_path / "foreign.h5", "w") as file:
        yield file


def reach(path: Path, inside: str) -> None:
    with GuardedFile(path) as file:
        file.dataset(inside)[()]


def test_a_dataset_is_reached_by_its_path(secret: Path) -> None:
    with GuardedFile(secret) as file:
        assert file.dataset("/keys/data")[()].tolist() == list(range(10))
        assert file.dataset("keys//./data") == file.dataset("/keys/data")
        assert file.members("/") == ["keys"]
        assert file.is_group("/keys") and not file.is_group("/keys/data")
        assert file.exists("/keys/data") and not file.exists("/keys/none") and not file.exists("/keys/data/x")


def test_what_is_not_there_is_answered_with_what_is(secret: Path, refused: Refused) -> None:
    with refused(secret, "nothing here", "did you mean 'data'", inside="/keys/date"):
        reach(secret, "/keys/date")
    with refused(secret, "no members", inside="/keys/data/x"):
        reach(secret, "/keys/data/x")


def test_a_group_is_no_dataset_nor_the_other_way_round(secret: Path, refused: Refused) -> None:
    with refused(secret, "not a dataset", "a group", inside="/keys"):
        reach(secret, "/keys")
    with refused(secret, "not a group", "a dataset"), GuardedFile(secret) as file:
        file.group("/keys/data")


def test_a_named_data_type_is_neither(foreign: h5py.File, refused: Refused) -> None:
    foreign["kind"] = np.dtype("f8")
    path = Path(foreign.filename)
    foreign.close()
    with refused(path, "named data type"), GuardedFile(path) as file:
        file.node("/kind")


@pytest.mark.parametrize("inside", ["/outside", "/outside/data", "/deep/outside/data", "/by_soft_link/data"])
def test_an_external_link_is_refused_wherever_it_stands(
    foreign: h5py.File, secret: Path, refused: Refused, inside: str
) -> None:
    foreign["outside"] = h5py.ExternalLink(secret.name, "/keys")
    foreign["deep/outside"] = h5py.ExternalLink(secret.name, "/keys")
    foreign["by_soft_link"] = h5py.SoftLink("/outside")
    foreign.close()
    path = secret.with_name("foreign.h5")
    with h5py.File(path) as file:  # h5py itself follows it in silence
        assert file["outside/data"][0] == 0
    with refused(path, "external link", "secret.h5:/keys"):
        reach(path, inside)


def test_asking_whether_something_exists_follows_no_link(foreign: h5py.File, secret: Path) -> None:
    foreign["outside"] = h5py.ExternalLink("no such file.h5", "/keys")
    foreign.close()
    with GuardedFile(secret.with_name("foreign.h5")) as file:
        assert file.exists("/outside/data")


def test_a_soft_link_inside_the_file_is_followed(foreign: h5py.File, tmp_path: Path) -> None:
    foreign["real/data"] = [1, 2, 3]
    foreign["absolute"] = h5py.SoftLink("/real/data")
    foreign["real/relative"] = h5py.SoftLink("./data")
    foreign["to_group"] = h5py.SoftLink("real")
    foreign.close()
    with GuardedFile(tmp_path / "foreign.h5") as file:
        for inside in ("/absolute", "/real/relative", "/to_group/data", "/to_group/relative"):
            assert file.dataset(inside)[()].tolist() == [1, 2, 3], inside


def test_a_loop_of_soft_links_is_refused(foreign: h5py.File, tmp_path: Path, refused: Refused) -> None:
    foreign["a"] = h5py.SoftLink("/b")
    foreign["b"] = h5py.SoftLink("/a")
    foreign.close()
    with refused(tmp_path / "foreign.h5", "without an end"):
        reach(tmp_path / "foreign.h5", "/a/data")


def test_a_soft_link_to_nothing_is_told(foreign: h5py.File, tmp_path: Path, refused: Refused) -> None:
    foreign["a"] = h5py.SoftLink("/gone")
    foreign.close()
    with refused(tmp_path / "foreign.h5", "nothing here", inside="/gone"):
        reach(tmp_path / "foreign.h5", "/a")


def walk(path: Path) -> list[str]:
    with GuardedFile(path) as file:
        return [inside for inside, _ in file.walk()]


def test_the_walk_meets_everything_parents_first(secret: Path) -> None:
    assert walk(secret) == ["/", "/keys", "/keys/data"]


@pytest.mark.parametrize("link", ["hard", "soft"])
def test_the_walk_ends_at_a_cycle(foreign: h5py.File, tmp_path: Path, refused: Refused, link: str) -> None:
    below = foreign.create_group("a/b")
    below["back"] = foreign["a"] if link == "hard" else h5py.SoftLink("/a")
    foreign.close()
    with refused(tmp_path / "foreign.h5", "cycle", inside="/a/b/back"):
        walk(tmp_path / "foreign.h5")


def test_the_walk_ends_in_a_tree_without_a_floor(
    foreign: h5py.File, tmp_path: Path, refused: Refused
) -> None:
    foreign.create_group("/".join(["deeper"] * 300))
    foreign.close()
    with refused(tmp_path / "foreign.h5", "too deep"):
        walk(tmp_path / "foreign.h5")


def test_the_walk_ends_where_links_multiply(
    foreign: h5py.File, tmp_path: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Thirty groups, each in the one above it twice: 2^30 paths.
    here = foreign.create_group("g0")
    for _ in range(30):
        below = here.create_group("left")
        here["right"] = below
        here = below
    foreign.close()
    monkeypatch.setattr(guard, "MAX_NODES", 100)
    with refused(tmp_path / "foreign.h5", "no end", "100"):
        walk(tmp_path / "foreign.h5")


def test_a_name_that_is_not_utf8_is_shown_but_not_reached(
    foreign: h5py.File, tmp_path: Path, refused: Refused
) -> None:
    foreign.id.links.create_soft(b"gr\xf6\xdfe", b"/data")
    foreign["data"] = [7]
    foreign.close()
    path = tmp_path / "foreign.h5"
    reach(path, "/data")
    with refused(path, "nothing here", "gr\\xf6\\xdfe"):
        reach(path, "/groesse")
    with refused(path, inside="/gr\\xf6\\xdfe"):
        walk(path)


def test_a_user_block_before_the_signature_is_allowed(tmp_path: Path) -> None:
    path = tmp_path / "block.h5"
    with h5py.File(path, "w", userblock_size=1024) as file:
        file["data"] = [1]
    with GuardedFile(path) as file:
        assert file.members("/") == ["data"]


def test_one_bad_file_in_a_folder_does_not_stop_the_others(
    tmp_path: Path, write_archive: Any, heat: Any
) -> None:
    write_archive({"temperature": heat()}, name="plant/a.h5")
    write_archive({"temperature": heat()}, name="plant/sub/c.hdf5")
    write_archive({"temperature": heat()}, name="plant/d.H5")
    (tmp_path / "plant" / "b.h5").write_bytes(b"")
    (tmp_path / "plant" / "b2.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + b"\0" * 3000)
    (tmp_path / "plant" / "readme.txt").write_text("not an archive")
    errors: list[SensorkdError] = []
    found = open_recordings(tmp_path / "plant", on_error=errors.append)
    assert [item.id for item in found] == ["a.h5::monday", "d.H5::monday", "sub/c.hdf5::monday"]
    assert [Path(str(error.file)).name for error in errors] == ["b.h5", "b2.h5"]
    with pytest.raises(ArchiveError, match=r"b\.h5"):
        open_recordings(tmp_path / "plant")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"caf\xc3\xa9", "café"),
        (b"\xff", "�"),
        (np.float32(0.5), 0.5),
        (np.longdouble(0.5), 0.5),
        (np.bool_(True), True),
        (np.bytes_(b"x"), "x"),
        (np.array([[1, 2]]), [[1, 2]]),
        (np.array([b"a", "b"], dtype=object), ["a", "b"]),
        (h5py.Empty("f8"), None),
        ("text", "text"),
    ],
)
def test_hdf5_values_become_plain_python(value: Any, expected: Any) -> None:
    made = plain(value)
    assert made == expected
    assert type(made) is type(expected)


def test_what_hdf5_raises_on_damage_is_told_with_its_place(
    tmp_path: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["a/data"] = [1]
    for raised in (
        RuntimeError("B-tree"),
        OSError("overflow"),
        MemoryError("3 EiB"),
        UnicodeDecodeError("u", b"", 0, 1, "x"),
    ):

        def broken(*args: Any, raised: Exception = raised) -> Any:
            raise raised

        with GuardedFile(path) as file:
            monkeypatch.setattr(guard, "_member", broken)
            for ask in (file.group, file.dataset, file.node, file.members, file.is_group, file.exists):
                with refused(path, "the file", type(raised).__name__, inside="/a/data"):
                    ask("/a/data")
            monkeypatch.undo()


def test_groups_that_were_reached_before_lead_to_the_same_nodes(tmp_path: Path, refused: Refused) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        for name in "ab":
            file[f"{name}/inner/data"] = [ord(name)]
            file[f"{name}/here"] = h5py.SoftLink("inner")
    with GuardedFile(path) as file:
        for _ in range(2):
            for name in "ab":
                assert file.dataset(f"/{name}/inner/data")[0] == ord(name)
                assert file.dataset(f"/{name}/here/data")[0] == ord(name)
                assert file.dataset(f"{name}//here/./data")[0] == ord(name)
                with refused(path, "nothing here", inside=f"/{name}/inner/none"):
                    file.dataset(f"/{name}/here/none")


def test_the_guard_costs_little_more_than_reaching_the_nodes(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    names = [f"/r{number}/s/data" for number in range(300)]
    with h5py.File(path, "w") as file:
        for name in names:
            file.create_dataset(name, data=np.zeros((10, 2)), chunks=(5, 2), compression="gzip")

    def seconds(reach: Callable[[str], Any]) -> float:
        began = time.process_time()
        for name in names:
            reach(name)
        return time.process_time() - began

    with GuardedFile(path) as guarded, h5py.File(path) as bare:
        assert seconds(guarded.dataset) < 8 * seconds(bare.__getitem__)  # benchmarks/guard.py: about twice
