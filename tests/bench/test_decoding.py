"""Every kind of file gives the pixels that its bytes say; what has none is refused with its name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.io import decode_gif, decode_jpeg, encode_jpeg, read_file

from bench.data.decoding import PUBLISHED, Decoding, ImageFileError, decode, has_frames
from tests.bench.image_writers import png, pnm, tiff, with_orientation

RANDOM = np.random.default_rng(7)
RULES = Decoding()


def drawn(channels: int, dtype: str = "uint8", height: int = 6, width: int = 9) -> np.ndarray:
    return RANDOM.integers(0, np.iinfo(dtype).max + 1, (height, width, channels), dtype=dtype)


def pixels(path: Path, rules: Decoding = RULES) -> np.ndarray:
    return np.asarray(decode(path, rules).image).astype(int)


def over_white(colours: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    colours, alpha = colours.astype(float), alpha.astype(float)
    return (colours * alpha + 255 * (255 - alpha)) / 255


def grey(values: np.ndarray) -> np.ndarray:
    return np.broadcast_to(values, (*values.shape[:2], 3))


@pytest.mark.parametrize("suffix", ["png", "pgm", "tif"])
def test_grey_of_8_and_of_16_bits(tmp_path: Path, suffix: str) -> None:
    def write(name: str, values: np.ndarray) -> Path:
        path = tmp_path / f"{name}.{suffix}"
        if suffix == "png":
            return png(path, values)
        return tiff(path, values, 1) if suffix == "tif" else pnm(path, values, np.iinfo(values.dtype).max)

    eight = drawn(1)
    assert np.array_equal(pixels(write("eight", eight)), grey(eight))
    sixteen = drawn(1, "uint16")
    assert np.array_equal(pixels(write("sixteen", sixteen)), grey(sixteen >> 8))
    for factor in (256, 257):  # both ways to make 16 bits of 8 give the same image back
        assert np.array_equal(pixels(write("same", eight.astype("uint16") * factor)), grey(eight))


def test_16_bit_colours_and_sensors_of_fewer_bits(tmp_path: Path) -> None:
    colours = drawn(3, "uint16")
    assert np.array_equal(pixels(png(tmp_path / "a.png", colours)), colours >> 8)
    assert np.array_equal(pixels(tiff(tmp_path / "a.tif", colours, 2)), colours >> 8)
    twelve = drawn(1, "uint16") >> 4
    assert np.array_equal(pixels(tiff(tmp_path / "b.tif", twelve, 1), Decoding(white=4095)), grey(twelve >> 4))
    assert pixels(tiff(tmp_path / "b.tif", twelve, 1)).max() <= 15
    named = pixels(pnm(tmp_path / "b.pgm", twelve, 4095))  # the format names its own white
    assert np.abs(named - grey(twelve) * (255 / 4095)).max() < 1
    assert decode(tmp_path / "b.tif", RULES).largest == twelve.max()


def test_transparency_lets_white_through(tmp_path: Path) -> None:
    for channels, dtype in ((4, "uint8"), (4, "uint16"), (2, "uint8"), (2, "uint16")):
        values = drawn(channels, dtype)
        eight = values >> (8 * (values.dtype.itemsize - 1))
        expected = over_white(eight[..., :-1], eight[..., -1:])
        assert np.abs(pixels(png(tmp_path / "a.png", values)) - expected).max() <= 1
    assert np.array_equal(pixels(png(tmp_path / "b.png", drawn(4) & np.array([255, 255, 255, 0], "uint8"))),
                          np.full((6, 9, 3), 255))  # fmt: skip
    colours = drawn(3)
    keyed = png(tmp_path / "c.png", colours, more=((b"tRNS", colours[2, 3].astype(">u2").tobytes()),))
    colours[2, 3] = 255
    assert np.array_equal(pixels(keyed), colours)


def test_palettes(tmp_path: Path) -> None:
    palette, index = drawn(3, height=1, width=40)[0], drawn(1) % 40
    plain = palette[index[..., 0]]
    assert np.array_equal(pixels(png(tmp_path / "a.png", index, palette)), plain)
    alpha = drawn(1, height=1, width=40)[0, :, 0]
    seen = pixels(png(tmp_path / "b.png", index, palette, ((b"tRNS", alpha.tobytes()),)))
    assert np.abs(seen - over_white(plain, alpha[index])).max() <= 1


def test_cmyk(tmp_path: Path) -> None:
    ink = drawn(4)
    expected = (255.0 - ink[..., :3]) * (255.0 - ink[..., 3:]) / 255
    assert np.abs(pixels(tiff(tmp_path / "a.tif", ink, 5)) - expected).max() <= 1
    flat = np.full((16, 16, 4), (200, 30, 90, 40), "uint8")
    Image.fromarray(flat, "CMYK").save(tmp_path / "b.jpg", quality=100)  # as Adobe writes them: inverted
    expected = (255.0 - flat[..., :3]) * (255.0 - flat[..., 3:]) / 255
    assert np.abs(pixels(tmp_path / "b.jpg") - expected).max() <= 4


def smooth() -> torch.Tensor:
    rows, columns = torch.arange(24)[:, None], torch.arange(40)
    return torch.stack([rows * 8 + 0 * columns, columns * 5 + 0 * rows, rows * 3 + columns * 2]).to(torch.uint8)


TURNS = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
    8: lambda a: np.rot90(a),
}


@pytest.mark.parametrize("orientation", TURNS)
def test_photos_are_upright_as_exif_says(tmp_path: Path, orientation: int) -> None:
    stored = encode_jpeg(smooth(), 95)
    (tmp_path / "a.jpg").write_bytes(with_orientation(stored.numpy().tobytes(), orientation))
    as_stored = decode_jpeg(stored).permute(1, 2, 0).numpy().astype(int)
    seen = decode(tmp_path / "a.jpg", RULES)
    assert seen.rotated == (orientation != 1)
    assert np.abs(np.asarray(seen.image).astype(int) - TURNS[orientation](as_stored)).max() <= 2
    assert np.abs(pixels(tmp_path / "a.jpg", PUBLISHED) - as_stored).max() <= 2, "ImageNet pipelines leave it"


def test_the_first_frame_counts(tmp_path: Path) -> None:
    frames = [Image.fromarray(drawn(1)[..., 0]) for _ in range(3)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert has_frames(tmp_path / "a.gif")
    first = decode_gif(read_file(str(tmp_path / "a.gif")))[0].permute(1, 2, 0).numpy()
    assert np.array_equal(pixels(tmp_path / "a.gif"), first)
    assert not has_frames(png(tmp_path / "b.png", drawn(3)))


def test_one_channel(tmp_path: Path) -> None:
    one = Decoding(channels=1)
    values = drawn(1, "uint16")
    assert np.array_equal(pixels(png(tmp_path / "a.png", values), one), values[..., 0] >> 8)
    colours = drawn(3)
    luma = colours @ np.array([0.299, 0.587, 0.114])
    assert np.abs(pixels(png(tmp_path / "b.png", colours), one) - luma).max() <= 1


def test_what_has_no_pixels_is_refused_with_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = png(tmp_path / "whole.png", drawn(3, height=40, width=40)).read_bytes()
    damaged = bytearray(whole)
    damaged[60:70] = b"\0" * 10
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "chunk.png").write_bytes(bytes(damaged))
    (tmp_path / "text.jpg").write_text("no image")
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    tiff(tmp_path / "float.tif", np.ones((4, 5, 1), "float32"), 1, sample_format=3)
    tiff(tmp_path / "signed.tif", np.ones((4, 5, 1), "int32"), 1, sample_format=2)
    for name in ("cut.png", "chunk.png", "text.jpg", "empty.jpg", "gone.png", "float.tif", "signed.tif"):
        with pytest.raises(ImageFileError, match=f"cannot decode .*{name}: .+; replace the file or remove it"):
            decode(tmp_path / name, RULES)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 700)
    with pytest.raises(ImageFileError, match=r"whole.png: .*1600 pixels"):
        decode(tmp_path / "whole.png", RULES)
