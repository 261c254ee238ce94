"""The window of most change, on made-up images."""

import numpy as np

from backend.people.detect.change_detector import ChangeDetector

SIZE = (960, 540)


def image(x=None, light=0):
    pixels = np.full((SIZE[1], SIZE[0], 3), 120 + light, np.uint8)
    if x is not None:
        pixels[300:400, x : x + 40] = 20
    return pixels


def after(*images):
    changes = ChangeDetector()
    for pixels in images:
        changes.update(pixels)
    return changes


def test_the_window_is_around_what_moves():
    x, y, w, h = after(image(500), image(510)).search_window([], SIZE)
    assert x < 500 and x + w > 550 and y < 310 and y + h > 390
    assert w == h < 300


def test_changes_in_a_known_box_do_not_count():
    known = np.array([480, 290, 570, 410])
    assert after(image(500), image(510)).search_window([known], SIZE) is None


def test_stillness_and_light_are_not_a_change():
    assert ChangeDetector().search_window([], SIZE) is None
    assert after(image(500)).search_window([], SIZE) is None
    assert after(image(500), image(500)).search_window([], SIZE) is None
    assert after(image(), image(light=30)).search_window([], SIZE) is None


def test_a_restored_detector_is_the_same():
    changes = after(image(500), image(510))
    again = ChangeDetector.from_state({k: v.copy() for k, v in changes.state().items()})
    for one in (changes, again):
        one.update(image(530))
    assert changes.search_window([], SIZE) == again.search_window([], SIZE) is not None
    np.testing.assert_array_equal(changes.state()["last"], again.state()["last"])
