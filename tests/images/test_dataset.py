"""Images of every format come as the batch dict, decoded when they are asked for."""

from __future__ import annotations

import os
import pickle
import shutil
import tracemalloc
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from PIL import Image

from sensorkd.errors import ArchiveError, ConfigError
from sensorkd.images.dataset import labelled_rows, open_images
from sensorkd.training.prefetch import batches_of
from tests.images.conftest import encode, pixels, write_hdf5

ROOT = Path(__file__).parents[2]
REAL = Path(os.environ.get("SENSORKD_DATA", ROOT.parent / "shared" / "data")) / "cifar100"


def test_a_batch_holds_pixels_presence_label_and_id(hdf5: Path) -> None:
    images = open_images(hdf5, "hdf5", side=32)
    batch = images.train.__getitems__([4, 1])
    assert batch["image"].shape == (2, 32, 32, 3)
    assert batch["image"].dtype == torch.uint8
    assert np.array_equal(batch["image"][0].numpy(), pixels(1, 4))
    assert batch["label"].tolist() == [1, 1]
    assert batch["presence"].tolist() == [[1.0], [1.0]]
    assert batch["window_id"].tolist() == [4, 1]
    assert images.classes == ("class0", "class1", "class2")


def test_no_id_of_a_test_image_is_that_of_a_training_image(hdf5: Path) -> None:
    images = open_images(hdf5, "hdf5", side=32)
    sources = (images.train, images.test)
    ids = [{int(source[row]["window_id"]) for row in range(len(source))} for source in sources]
    assert ids[0].isdisjoint(ids[1])
    assert (len(ids[0]), len(ids[1])) == (12, 6)


@pytest.mark.parametrize("fixture", ["hdf5", "cifar"])
def test_a_dataset_that_was_read_from_can_be_pickled(fixture: str, request: pytest.FixtureRequest) -> None:
    path = request.getfixturevalue(fixture)
    source = open_images(path, "hdf5" if fixture == "hdf5" else "cifar100_binary", side=32).train
    before = source[3]["image"]
    again = pickle.loads(pickle.dumps(source))
    assert torch.equal(again[3]["image"], before)


def test_batches_are_gathered_ahead_as_they_are_asked_for(hdf5: Path) -> None:
    source = open_images(hdf5, "hdf5", side=32).train
    order = [[0, 5, 2], [7, 7, 1]]
    for rows, batch in zip(order, batches_of(source, order), strict=True):
        assert torch.equal(batch["image"], source.__getitems__(rows)["image"])


def test_cifar_is_read_in_its_binary_version(cifar: Path) -> None:
    images = open_images(cifar, "cifar100_binary", side=32)
    assert np.array_equal(images.train[6]["image"].numpy(), pixels(2, 6))
    assert images.train.labels.tolist() == [0, 1, 2, 3] * 2
    assert len(images.classes) == 100


def test_a_folder_a_class_is_read_whatever_the_size_of_its_images(tree: Path) -> None:
    images = open_images(tree, "folder", side=32, fit=True, threads=2)
    assert images.classes == ("cat", "dog")
    assert images.train.labels.tolist() == images.test.labels.tolist() == [0, 0, 0, 1, 1, 1]
    batch = images.train.__getitems__(list(range(6)))["image"]
    assert batch.shape == (6, 32, 32, 3)
    # The colour tells the class, and JPEG keeps it.
    assert (batch[:3].float().mean() + 30) < batch[3:].float().mean()


def test_fitting_brings_the_shorter_side_to_size_and_takes_the_middle(tmp_path: Path) -> None:
    wide = np.zeros((20, 60, 3), np.uint8)
    wide[:, 20:40] = 200
    for split in ("train", "val"):
        (tmp_path / split / "one").mkdir(parents=True)
        (tmp_path / split / "one" / "wide.png").write_bytes(encode(wide))
    seen = open_images(tmp_path, "folder", side=20, fit=True).train[0]["image"]
    assert (seen == 200).all()


def test_tiny_imagenet_is_read_as_it_is_published(tiny: Path) -> None:
    images = open_images(tiny, "tiny_imagenet", side=64)
    assert images.classes == ("n01", "n02")
    assert images.train.labels.tolist() == [0, 0, 1, 1]
    assert images.test.labels.tolist() == [1, 0]
    means = [float(images.test[row]["image"].float().mean()) for row in (0, 1)]
    assert means[0] > means[1] + 30


def test_grey_and_transparent_images_become_colours(tmp_path: Path) -> None:
    for mode in ("L", "RGBA", "P", "I;16"):
        root = tmp_path / mode.replace(";", "")
        for split in ("train", "val"):
            (root / split / "one").mkdir(parents=True)
            Image.new(mode, (8, 8), 0).save(root / split / "one" / "a.png")
        assert open_images(root, "folder", side=8).train[0]["image"].shape == (8, 8, 3)


def test_sixteen_bits_of_grey_keep_their_shades(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 64).reshape(8, 8).astype(np.uint16)
    for split in ("train", "val"):
        (tmp_path / split / "one").mkdir(parents=True)
        Image.fromarray(ramp).save(tmp_path / split / "one" / "a.png")
    seen = open_images(tmp_path, "folder", side=8).train[0]["image"]
    assert seen[..., 0].flatten().tolist() == np.round(ramp / 257).flatten().tolist()


def test_a_strip_is_fitted_without_growing_to_its_length(tmp_path: Path) -> None:
    strip = np.zeros((1, 50_001, 3), np.uint8)
    strip[:, 25_000] = 200
    for split in ("train", "val"):
        (tmp_path / split / "one").mkdir(parents=True)
        (tmp_path / split / "one" / "strip.png").write_bytes(encode(strip))
    tracemalloc.start()
    seen = open_images(tmp_path, "folder", side=64, fit=True).train[0]["image"]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert int(seen[32, 32].min()) > 190 and peak < 5e6


def test_a_class_that_only_test_images_have_is_refused(hdf5: Path) -> None:
    with h5py.File(hdf5, "r+") as file:
        del file["class_names"]
        file["test/label"][0] = 7
    assert "no training image has" in refused(hdf5, "hdf5")


def refused(path: Path, form: str, side: int = 32) -> str:
    with pytest.raises((ArchiveError, ConfigError)) as caught:
        images = open_images(path, form, side=side)  # type: ignore[arg-type]
        for source in (images.train, images.test):
            source.__getitems__(list(range(len(source))))
    return str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (encode(pixels(0, 0))[:200], "cannot be decoded"),
        (b"GIF89a" + bytes(64), "cannot be decoded"),
        (b"", "is empty"),
        (encode(pixels(0, 0, 30)), "30 x 30 pixels"),
    ],
)
def test_a_broken_image_is_named_by_file_and_row(tmp_path: Path, content: bytes, said: str) -> None:
    path = write_hdf5(tmp_path / "broken.h5", third=content)
    told = refused(path, "hdf5")
    assert said in told
    assert "broken.h5 at train/encoded[2]" in told


def bomb(side: int) -> bytes:
    """A PNG whose head declares side x side pixels."""
    content = bytearray(encode(np.zeros((1, 1, 3), np.uint8)))
    content[16:24] = side.to_bytes(4, "big") * 2
    content[29:33] = zlib.crc32(bytes(content[12:29])).to_bytes(4, "big")
    return bytes(content)


@pytest.mark.parametrize("side", [9_000, 10_000, 60_000])
def test_a_bomb_is_refused_by_what_its_head_declares(tmp_path: Path, side: int) -> None:
    told = refused(write_hdf5(tmp_path / "bomb.h5", third=bomb(side)), "hdf5")
    assert "more pixels than is safe" in told
    assert "train/encoded[2]" in told


def test_a_link_out_of_the_data_set_is_refused_and_one_within_is_followed(tree: Path, tmp_path: Path) -> None:
    (tree / "train" / "cat" / "again.JPEG").symlink_to(tree / "train" / "cat" / "0.JPEG")
    assert len(open_images(tree, "folder", side=32, fit=True).train) == 7
    outside = tmp_path / "secret.png"
    outside.write_bytes(encode(pixels(0, 0)))
    (tree / "train" / "cat" / "out.png").symlink_to(outside)
    told = refused(tree, "folder")
    assert "leads out of the data set" in told
    assert str(outside) in told


def test_a_class_that_is_only_in_val_is_refused(tree: Path) -> None:
    shutil.copytree(tree / "val" / "dog", tree / "val" / "dogs")
    assert "did you mean 'dog'" in refused(tree, "folder")


def test_a_line_of_tiny_imagenet_that_names_another_file_is_refused(tiny: Path) -> None:
    table = tiny / "val" / "val_annotations.txt"
    table.write_text(table.read_text().replace("val_0.JPEG", "../../../secret.JPEG"))
    assert "line 2" in refused(tiny, "tiny_imagenet", 64)


def test_cifar_that_is_cut_short_is_refused(cifar: Path) -> None:
    path = cifar / "train.bin"
    path.write_bytes(path.read_bytes()[:-7])
    told = refused(cifar, "cifar100_binary")
    assert "cut short" in told
    assert "pickles" in told


def test_a_missing_file_says_what_is_expected(tmp_path: Path) -> None:
    assert "train.bin and test.bin" in refused(tmp_path, "cifar100_binary")
    assert "one folder a class" in refused(tmp_path, "folder")
    (tmp_path / "train").mkdir()
    assert "no folder" in refused(tmp_path, "folder")


def test_labels_that_do_not_fit_are_refused(hdf5: Path) -> None:
    with h5py.File(hdf5, "r+") as file:
        file["train/label"][0] = 7
    assert "from 0 to 2" in refused(hdf5, "hdf5")


def test_an_hdf5_file_that_points_elsewhere_is_refused(hdf5: Path) -> None:
    with h5py.File(hdf5, "r+") as file:
        del file["test"]
        file["test"] = h5py.ExternalLink("other.h5", "/test")
    assert "link" in refused(hdf5, "hdf5")


def test_a_share_of_the_labels_is_the_same_in_every_class_and_grows() -> None:
    labels = np.repeat([0, 1, 2], [20, 40, 1])
    quarter, half = (labelled_rows(labels, share=share, seed=3) for share in (0.25, 0.5))
    assert np.bincount(labels[quarter]).tolist() == [5, 10, 1]
    assert set(quarter) <= set(half)
    assert np.array_equal(labelled_rows(labels, share=1.0, seed=3), np.arange(61))
    assert not np.array_equal(quarter, labelled_rows(labels, share=0.25, seed=4))


@pytest.mark.skipif(not REAL.exists(), reason="the images of CIFAR-100 are not here")
def test_cifar_100_has_the_published_mean_and_deviation() -> None:
    images = open_images(REAL / "cifar100_sub100x20.h5", "hdf5", side=32)
    assert (len(images.train), len(images.test), len(images.classes)) == (10_000, 2_000, 100)
    batch = images.train.__getitems__(list(range(0, 10_000, 10)))["image"].float() / 255
    assert batch.mean((0, 1, 2)).numpy() == pytest.approx([0.507, 0.487, 0.441], abs=0.02)
    assert batch.std((0, 1, 2)).numpy() == pytest.approx([0.267, 0.256, 0.276], abs=0.02)
