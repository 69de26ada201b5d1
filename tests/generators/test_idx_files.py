"""idx files: what is written is read back, and what is damaged is refused by its name."""

import gzip
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from generators.data import load_pictures
from generators.errors import DataError
from generators.idx_files import read_idx
from generators.sections import DataSection


def idx(values, kind=8):
    header = bytes([0, 0, kind, values.ndim]) + b"".join(struct.pack(">I", side) for side in values.shape)
    return header + values.tobytes()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("idx")


@settings(max_examples=50, deadline=2000)
@given(values=arrays(np.uint8, array_shapes(min_dims=1, max_dims=3, max_side=9)), packed=st.booleans())
def test_values_are_read_back_packed_or_not(place, values, packed):
    file = place / "values"
    file.write_bytes(gzip.compress(idx(values), 1) if packed else idx(values))
    assert (read_idx(file, values.ndim) == values).all()


@settings(max_examples=100, deadline=2000)
@given(data=st.binary(max_size=60), packed=st.booleans(), honest=st.booleans())
def test_any_bytes_give_values_or_the_typed_error(place, data, packed, honest):
    data = b"\0\0\x08\x03" + data if honest else data
    file = place / "bytes"
    file.write_bytes(gzip.compress(data, 1) if packed else data)
    try:
        assert read_idx(file, 3).size > 0
    except DataError as error:
        assert str(file) in error.cause


@settings(max_examples=50, deadline=2000)
@given(cut=st.integers(1, 40), packed=st.booleans())
def test_a_file_that_is_cut_off_or_goes_on_is_refused(place, cut, packed):
    whole = idx(np.arange(24, dtype=np.uint8).reshape(2, 3, 4))
    pack = gzip.compress if packed else bytes
    for data in (pack(whole)[: -min(cut, len(whole))], pack(whole + b"\0" * cut)):
        (place / "cut").write_bytes(data)
        with pytest.raises(DataError):
            read_idx(place / "cut", 3)


def test_a_header_that_claims_too_much_is_refused_before_memory_is_taken(place):
    (place / "huge").write_bytes(b"\0\0\x08\x03" + b"\xff" * 12)
    with pytest.raises(DataError, match="more than"):
        read_idx(place / "huge", 3)


def test_labels_in_place_of_pictures_and_other_kinds_are_told(place):
    (place / "labels").write_bytes(idx(np.arange(4, dtype=np.uint8)))
    with pytest.raises(DataError, match="1 dimensions, and pictures have 3"):
        read_idx(place / "labels", 3)
    (place / "floats").write_bytes(idx(np.zeros((1, 2, 2), np.float32), kind=0x0D))
    with pytest.raises(DataError, match="unsigned bytes"):
        read_idx(place / "floats", 3)


# As a recipe's source


@pytest.fixture
def mnist(tmp_path):
    """A tiny MNIST: train and t10k under their names, the picture of a label as bright as its number says."""
    for name, count in (("train", 40), ("t10k", 20)):
        labels = np.arange(count, dtype=np.uint8) % 10
        images = np.repeat(labels * 20, 64).reshape(count, 8, 8)
        (tmp_path / f"{name}-images-idx3-ubyte").write_bytes(idx(images))
        (tmp_path / f"{name}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(labels)))
    return tmp_path


def load(**keys):
    return load_pictures(DataSection(size=8, **keys))


def test_pictures_and_labels_belong_together(mnist):
    split = load(source=f"idx:{mnist}/train-images-idx3-ubyte,{mnist}/train-labels-idx1-ubyte.gz", test_fraction=0.25)
    assert (len(split.train), len(split.test)) == (30, 10)
    assert split.train.class_names[3] == "three"
    assert (split.train.images[:, 0, 0, 0] == split.train.labels * 20).all()


def test_of_a_folder_the_split_is_kept(mnist):
    split = load(source=f"idx:{mnist}", test_fraction=0.5)
    assert (len(split.train), len(split.test)) == (40, 20)
    assert all(name.startswith("t10k") for name in split.test.names)
    (mnist / "train-images-idx3-ubyte").unlink()
    split = load(source=f"idx:{mnist}", test_fraction=0.5)
    assert (len(split.train), len(split.test)) == (10, 10)


def test_pictures_without_labels_are_pictures(mnist):
    split = load(source=f"idx:{mnist}/t10k-images-idx3-ubyte")
    assert split.train.labels is None and split.train.class_names == ()


def test_labels_of_another_length_are_refused(mnist):
    with pytest.raises(DataError, match=r"40 pictures, and .* 20 labels"):
        load(source=f"idx:{mnist}/train-images-idx3-ubyte,{mnist}/t10k-labels-idx1-ubyte.gz")


def test_what_is_not_there_is_told(tmp_path):
    with pytest.raises(DataError, match="No such file"):
        load(source=f"idx:{tmp_path}/missing")
    with pytest.raises(DataError, match="neither train-images"):
        load(source=f"idx:{tmp_path}")
