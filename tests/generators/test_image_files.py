"""Pictures as people and attackers have them, made on the spot: each is decoded rightly, or refused by its name."""

import io
import os
import struct
import time
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from generators.errors import ImageError
from generators.image_files import MOST_SCANS, decode, read_file
from generators.image_fitting import Look

GREY, COLOUR = Look(8, 1), Look(8, 3)
LIMIT = 1_000_000


def saved(image, kind="PNG", **how):
    out = io.BytesIO()
    image.save(out, kind, **how)
    return out.getvalue()


def flat(colour, mode="RGB", size=(8, 8)):
    return Image.new(mode, size, colour)


def png(width, height, bits=8, kind=0, body=b""):
    """A PNG whose header may say anything."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(body)) + chunk(b"IEND", b"")


def refused(data, look=COLOUR, limit=LIMIT):
    with pytest.raises(ImageError) as caught:
        decode(data, "holiday.png", look, limit)
    assert "holiday.png" in caught.value.cause and caught.value.remedy
    return caught.value.cause


# What is decoded


@pytest.mark.parametrize("kind", ["PNG", "GIF", "BMP", "TIFF", "WEBP", "JPEG"])
def test_every_known_kind_gives_the_colour_that_was_saved(kind):
    found = decode(saved(flat((200, 100, 0), size=(16, 16)), kind), "a", COLOUR, LIMIT)
    assert found.shape == (3, 8, 8) and found.dtype == np.uint8
    assert np.abs(found.reshape(3, -1).mean(1) - (200, 100, 0)).max() <= 3


@pytest.mark.parametrize(("value", "grey"), [(0, 0), (257 * 100, 100), (65535, 255), (40000, 156)])
def test_sixteen_bits_become_eight_by_scale_and_are_not_clipped(value, grey):
    image = Image.fromarray(np.full((8, 8), value, dtype=np.uint16))
    for kind in ("PNG", "TIFF"):
        assert (decode(saved(image, kind), "a", GREY, LIMIT) == grey).all()
    wide = png(8, 8, 16, 0, (b"\0" + struct.pack(">H", value) * 8) * 8)
    assert (decode(wide, "a", GREY, LIMIT) == grey).all()


def test_a_cmyk_jpeg_has_the_colours_of_its_inks():
    found = decode(saved(flat((0, 255, 255, 0), "CMYK"), "JPEG", quality=95), "a", COLOUR, LIMIT)
    assert np.abs(found.reshape(3, -1).mean(1) - (255, 0, 0)).max() <= 4


@pytest.mark.parametrize("background", ["white", "black"])
@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "RGB"])
def test_what_is_transparent_shows_the_background(mode, background):
    clear = flat((90, 10, 10, 0), "RGBA")
    if mode == "LA":
        data = saved(flat((90, 0), "LA"))
    elif mode == "P":
        data = saved(clear.convert("P"), transparency=clear.convert("P").getpixel((0, 0)))
    elif mode == "RGB":
        data = saved(flat((90, 10, 10)), transparency=(90, 10, 10))
    else:
        data = saved(clear)
    found = decode(data, "a", Look(8, 3, background), LIMIT)
    assert (found == (255 if background == "white" else 0)).all()


def test_half_transparent_is_half_of_each():
    found = decode(saved(flat((255, 0, 0, 128), "RGBA")), "a", Look(8, 3, "black"), LIMIT)
    assert found[:, 0, 0].tolist() == [128, 0, 0]


def test_a_palette_gives_the_colours_that_it_stands_for():
    image = flat((0, 0, 255)).quantize(4)
    assert image.mode == "P"
    assert decode(saved(image), "a", COLOUR, LIMIT)[:, 3, 3].tolist() == [0, 0, 255]


def test_the_camera_s_orientation_is_obeyed_and_a_damaged_one_is_not_minded():
    image = flat(0, "L", (8, 8))
    image.paste(255, (0, 0, 8, 4))  # bright above
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees to the right: bright at the right
    found = decode(saved(image, "JPEG", exif=exif, quality=100), "a", GREY, LIMIT)
    assert found[0, :, 5:].min() > 200 and found[0, :, :3].max() < 50
    damaged = saved(image, "JPEG", exif=b"Exif\0\0II*\0" + b"\xff" * 40, quality=100)
    assert decode(damaged, "a", GREY, LIMIT)[0, :3].min() > 200


def test_the_middle_square_of_a_wide_or_tall_picture_is_taken():
    image = flat((255, 0, 0), size=(32, 8))
    image.paste((0, 255, 0), (12, 0, 20, 8))
    for one in (image, image.transpose(Image.Transpose.ROTATE_90)):
        found = decode(saved(one), "a", COLOUR, LIMIT)
        assert (found[0] == 0).all() and (found[1] == 255).all()


def test_pixel_art_stays_sharp_where_its_side_divides_the_size_and_others_are_smoothed():
    board = Image.fromarray(np.indices((4, 4)).sum(0).astype(np.uint8) % 2 * 255)
    sharp = decode(saved(board), "a", Look(8, 1), LIMIT)[0]
    assert set(sharp.flat) == {0, 255}
    assert (sharp[::2, ::2] == np.asarray(board)).all()
    assert len(set(decode(saved(board), "a", Look(10, 1), LIMIT).flat)) > 2
    assert (decode(saved(board), "a", Look(4, 1), LIMIT)[0] == np.asarray(board)).all()


def test_a_large_jpeg_is_decoded_at_a_fraction_and_looks_the_same():
    ramp = np.tile(np.linspace(0, 255, 1024).astype(np.uint8), (1024, 1))
    found = decode(saved(Image.fromarray(ramp), "JPEG", quality=95), "a", Look(16, 1), 2_000_000)
    expected = ramp.reshape(16, 64, 16, 64).mean((1, 3))
    assert np.abs(found[0] - expected).max() <= 6


def test_a_telephone_s_picture_with_a_second_one_inside_gives_the_main_one():
    data = saved(flat((200, 0, 0)), "MPO", save_all=True, append_images=[flat((0, 200, 0))])
    found = decode(data, "a", COLOUR, LIMIT)
    assert found[0].mean() > 180 and found[1].mean() < 20


# What is refused


def test_a_bomb_s_header_is_refused_before_a_pixel_is_decoded():
    began = time.process_time()
    assert "more pixels than any picture may" in refused(png(60_000, 60_000))
    assert "10000 x 10000 pixels, more than 64,000,000" in refused(png(10_000, 10_000), limit=64_000_000)
    assert time.process_time() - began < 1


def test_the_limit_on_pixels_is_the_given_one():
    image = saved(flat(0, "L", (20, 20)))
    assert decode(image, "a", GREY, 400).shape == (1, 8, 8)
    assert "more than 399" in refused(image, limit=399)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF"])
def test_a_truncated_file_is_refused(kind):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = saved(Image.fromarray(noise), kind)
    refused(data[: len(data) // 2])


def test_a_picture_whose_checksum_is_wrong_is_refused():
    data = bytearray(saved(Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8))))
    data[data.index(b"IDAT") + 6] ^= 0xFF
    refused(bytes(data))


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_animated_pictures_and_several_pages_are_refused(kind):
    frames = [flat((c, 0, 0)) for c in (10, 120, 240)]
    assert "animated" in refused(saved(frames[0], kind, save_all=True, append_images=frames[1:]))


@pytest.mark.parametrize("size", [(1, 1), (1, 400), (3, 3)])
def test_a_picture_of_a_pixel_or_a_line_shows_nothing_and_is_refused(size):
    assert f"{size[0]} x {size[1]}" in refused(saved(flat(0, "L", size)))


@pytest.mark.parametrize("mode", ["I", "F"])
def test_values_of_which_nobody_knows_what_white_is_are_refused(mode):
    assert "32-bit" in refused(saved(Image.new(mode, (8, 8)), "TIFF"))


def test_other_kinds_text_and_nothing_are_refused():
    assert "known kind" in refused(b"<svg xmlns='http://www.w3.org/2000/svg'/>")
    assert "known kind" in refused(saved(flat((1, 2, 3)), "PPM"))
    assert "known kind" in refused(saved(flat((1, 2, 3)), "EPS"))
    assert "empty" in refused(b"")


def test_a_jpeg_of_very_many_scans_is_refused_unread():
    data = saved(flat((1, 2, 3)), "JPEG")
    scan = data[data.index(b"\xff\xda") : -2]
    assert "scans" in refused(data[:-2] + scan * MOST_SCANS + data[-2:])


@settings(max_examples=60, deadline=2000)
@given(st.data())
def test_damaged_bytes_give_a_picture_or_the_typed_error_and_nothing_else(data):
    kind = data.draw(st.sampled_from(["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"]))
    whole = bytearray(saved(Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3)), kind))
    for place in data.draw(st.lists(st.integers(0, len(whole) - 1), min_size=1, max_size=6)):
        whole[place] = data.draw(st.integers(0, 255))
    try:
        found = decode(bytes(whole), "a", COLOUR, LIMIT)
    except ImageError as error:
        assert "a " in error.cause
    else:
        assert found.shape == (3, 8, 8)


def test_a_named_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(ImageError, match=r"a\.png is no plain file"):
        read_file(tmp_path / "a.png", "a.png")
    with pytest.raises(ImageError, match=r"b\.png cannot be read"):
        read_file(tmp_path / "b.png", "b.png")
