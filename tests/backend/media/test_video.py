"""Clips frame by frame.  Every frame of the test clips encodes its number in its pixels."""

from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from backend.errors import BadInput
from backend.media.fingerprint import fingerprint
from backend.media.video import open_clip

SIZE = (64, 48)
BITS = 8


def image(number, size=SIZE):
    """Eight vertical bars, one per bit of the number, light or dark; brighter at the top."""
    width, height = size
    columns = np.arange(width) * BITS // width
    bars = np.where((number >> columns) & 1, 200, 40).astype(np.uint8)
    out = np.repeat(np.repeat(bars[None, :, None], height, 0), 3, 2)
    out[: height // 4] = np.minimum(out[: height // 4] + 50, 255)
    return out


def number_of(pixels):
    """The number that `image` has encoded."""
    row = pixels[pixels.shape[0] * 3 // 4].mean(-1)
    width = len(row)
    middles = [(2 * bit + 1) * width // (2 * BITS) for bit in range(BITS)]
    return sum(1 << bit for bit, x in enumerate(middles) if row[x] > 120)


def write(
    path, count=60, rate=30, size=SIZE, times=None, codec="libx264", pix_fmt="yuv420p", gop=12, draw=image, **options
):
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = *size, pix_fmt
        stream.gop_size = gop
        if times is not None:
            stream.codec_context.time_base = Fraction(1, 600)
        for k in range(count):
            frame = av.VideoFrame.from_ndarray(draw(k, size))
            if times is not None:
                frame.pts, frame.time_base = round(times[k] * 600), Fraction(1, 600)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def numbers(clip, start=0):
    """(frame numbers, numbers encoded in their pixels)."""
    frames = [(frame.number, number_of(frame.pixels)) for frame in clip.frames(start)]
    return [n for n, _ in frames], [encoded for _, encoded in frames]


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "größe 1.mov", "a.webm"])
def test_frames_come_in_order_with_their_numbers(tmp_path, name):
    codec = "libvpx" if name.endswith("webm") else "libx264"
    clip = open_clip(write(tmp_path / name, codec=codec))
    assert (clip.info.width, clip.info.height, clip.info.fps) == (*SIZE, 30)
    assert abs(clip.info.frame_count - 60) <= 1
    given, encoded = numbers(clip)
    assert given == encoded == list(range(60))
    assert not clip.lost


def test_range_and_step(tmp_path):
    clip = open_clip(write(tmp_path / "a.mp4"), first=5, last=21, step=4)
    assert numbers(clip) == ([5, 9, 13, 17, 21], [5, 9, 13, 17, 21])


@pytest.mark.parametrize("start", [1, 13, 37, 59])
def test_a_later_start_gives_the_same_pixels(tmp_path, start):
    path = write(tmp_path / "a.mp4", count=200, rate=10)
    whole = {frame.number: frame.pixels for frame in open_clip(path, step=3).frames()}
    later = {frame.number: frame.pixels for frame in open_clip(path, step=3).frames(start * 3)}
    assert sorted(later) == [n for n in sorted(whole) if n >= start * 3]
    assert all(np.array_equal(later[n], whole[n]) for n in later)


def test_a_variable_rate_shows_what_is_on_the_screen(tmp_path):
    times = np.cumsum([0, *([0.1] * 10), *([0.2] * 10), *([0.1] * 10)])[:30]
    clip = open_clip(write(tmp_path / "a.mp4", count=30, rate=10, times=times))
    rate = clip.info.fps
    for frame in clip.frames():
        expected = np.nonzero(times <= frame.number / float(rate) + 0.5 / float(rate))[0][-1]
        assert number_of(frame.pixels) == expected
    later = numbers(open_clip(tmp_path / "a.mp4"), 15)
    whole = numbers(open_clip(tmp_path / "a.mp4"))
    assert later[1] == [encoded for n, encoded in zip(*whole, strict=True) if n >= 15]


@pytest.mark.parametrize(("size", "pix_fmt"), [((66, 50), "yuv420p10le"), ((67, 51), "yuv444p"), ((64, 48), "gray")])
def test_depths_and_sizes(tmp_path, size, pix_fmt):
    codec = "libx264" if pix_fmt != "gray" else "ffv1"
    clip = open_clip(write(tmp_path / "a.mkv", count=6, size=size, pix_fmt=pix_fmt, codec=codec))
    frame = next(clip.frames())
    assert frame.pixels.dtype == np.uint8
    assert frame.pixels.shape == (size[1], size[0], 3)
    assert numbers(clip)[1] == list(range(6))


def rotated(path, out, matrix):
    """The same mp4 with another display matrix, nine numbers in the track header (ISO 14496-12)."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    data[at : at + 36] = b"".join(int(n).to_bytes(4, "big", signed=True) for n in matrix)
    out.write_bytes(data)
    return out


def test_rotated_clips_are_upright(tmp_path):
    one = 1 << 16
    path = write(tmp_path / "a.mp4", count=4)
    clip = open_clip(rotated(path, tmp_path / "b.mp4", (0, one, 0, -one, 0, 0, 0, 0, 1 << 30)))
    assert (clip.info.width, clip.info.height) == SIZE[::-1]
    upright = np.rot90(next(open_clip(path).frames()).pixels, -1)  # the phone was held a quarter turn to the left
    np.testing.assert_array_equal(next(clip.frames()).pixels, upright)


def test_a_cut_off_file_gives_its_frames_and_reports_the_rest(tmp_path):
    path = write(tmp_path / "a.mp4", count=120, movflags="faststart")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 6 // 10])
    clip = open_clip(path)
    given, encoded = numbers(clip)
    assert given == encoded[: len(given)]
    assert 20 < len(given) < 110
    assert any("cut off" in sentence for sentence in clip.lost)


def test_damage_in_the_middle_loses_only_its_frames(tmp_path):
    path = write(tmp_path / "a.ts", count=120, gop=6)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 188 * 6] = bytes(188 * 6)
    path.write_bytes(data)
    given, encoded = numbers(open_clip(path))
    assert given[0] == 0
    assert given[-1] >= 118
    assert sum(a == b for a, b in zip(given, encoded, strict=True)) > 90


def sequence(folder, names):
    folder.mkdir()
    for k, name in enumerate(names):
        Image.fromarray(image(k)).save(folder / name)
    return folder


def test_numbered_images_are_a_clip(tmp_path):
    folder = sequence(tmp_path / "s", [f"shot.{k:04d}.png" for k in range(1001, 1006)])
    for source in (folder, folder / "shot.1003.png"):
        clip = open_clip(source, fps=Fraction(24))
        assert (clip.info.kind, clip.info.fps, clip.info.first_number) == ("sequence", 24, 1001)
        assert numbers(clip) == ([0, 1, 2, 3, 4], [0, 1, 2, 3, 4])


def test_missing_and_unusable_images_of_a_sequence_are_reported(tmp_path):
    folder = sequence(tmp_path / "s", ["a1.png", "a2.png", "a4.png", "a10.png"])
    Image.fromarray(image(9, (32, 40))).save(folder / "a4.png")
    (folder / "a10.png").write_bytes(b"nothing")
    clip = open_clip(folder)
    assert [frame.number for frame in clip.frames()] == [0, 1]
    for part in ("Image 3", "a4.png", "a10.png"):
        assert any(part in sentence for sentence in clip.lost)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [({"step": 0}, "bad_step"), ({"first": -1}, "bad_range"), ({"first": 9, "last": 2}, "bad_range"),
     ({"first": 500}, "bad_range")],
)  # fmt: skip
def test_wrong_ranges_are_refused(tmp_path, arguments, code):
    path = write(tmp_path / "a.mp4", count=10)
    with pytest.raises(BadInput) as caught:
        open_clip(path, **arguments)
    assert caught.value.code == code
    assert caught.value.hint


def test_other_files_are_refused(tmp_path):
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    codes = {"text.mp4": "no_video", "empty.mp4": "no_video", "none.mp4": "file_missing", "folder": "no_pictures"}
    for name, code in codes.items():
        with pytest.raises(BadInput) as caught:
            open_clip(tmp_path / name)
        assert caught.value.code == code, name


def test_the_fingerprint_depends_on_the_content_only(tmp_path):
    path = write(tmp_path / "a.mp4")
    known = fingerprint(path)
    assert fingerprint(path.rename(tmp_path / "b.mp4")) == known
    (tmp_path / "c.mp4").write_bytes((tmp_path / "b.mp4").read_bytes()[:-1] + b"x")
    assert fingerprint(tmp_path / "c.mp4") != known
    folder = sequence(tmp_path / "s", ["a1.png", "a2.png"])
    first = fingerprint(folder)
    Image.fromarray(image(7)).save(folder / "a2.png")
    assert fingerprint(folder) != first


def test_large_frames_are_scaled_down(tmp_path):
    half = np.zeros((320, 640, 3), np.uint8)
    half[:, :320] = 200
    clip = open_clip(write(tmp_path / "large.mp4", count=3, rate=25, size=(640, 320), draw=lambda k, size: half))
    small = [frame.pixels for frame in clip.frames(0, 160)]
    assert [pixels.shape for pixels in small] == [(80, 160, 3)] * 3
    assert [frame.pixels.shape for frame in clip.frames(0, 1000)] == [(320, 640, 3)] * 3
    np.testing.assert_allclose(small[0][:, [10, 150]].mean((0, 2)), [200, 0], atol=6)
