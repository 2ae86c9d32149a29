"""An explanation can be looked at, and says nothing that its text did not."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from gristmill.explanation.colour import coloured
from gristmill.explanation.explain import explain, render_html, render_png
from tests.explanation.subjects import image, image_rows, table, table_rows, text, text_rows


def opened(data: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(data))
    picture.load()
    assert picture.format == "PNG"
    return picture


def test_a_heat_map_shows_the_enlarged_image_beside_its_explanation() -> None:
    subject, _ = image()
    raw = image_rows(1)
    (found,) = explain(subject, raw, method="integrated-gradients")
    picture = opened(render_png(found, {"image": raw["image"][0]}))
    assert picture.width >= 2 * 280
    assert picture.height > 280
    left = np.asarray(picture)[: 8 * 35 : 35, : 8 * 35 : 35, 0]
    np.testing.assert_array_equal(left, raw["image"][0, :, :, 0])


def test_a_table_is_drawn_as_bars_the_strongest_first() -> None:
    subject, _ = table()
    raw = table_rows(1)
    (found,) = explain(subject, raw, method="occlusion")
    picture = np.asarray(opened(render_png(found, {"features": raw["features"][0]})))
    assert (picture != 255).any()


def test_a_colour_image_and_a_text_are_drawn_too() -> None:
    subject, _ = text()
    raw = text_rows()
    for row, one in enumerate(explain(subject, raw, method="occlusion")):
        opened(render_png(one, {"text": raw["text"][row]}))


def test_markup_in_a_text_is_escaped() -> None:
    subject, _ = text()
    (found,) = explain(subject, text_rows(b"<script> good & bad"), method="occlusion")
    page = render_html(found, {"text": np.asarray(b"<script> good & bad", object)})
    assert "<script" not in page
    assert "&lt;" in page
    assert "&amp;" in page
    assert page.count("<mark") == len(found.names or [])


def test_nothing_is_white_for_is_red_and_against_is_blue() -> None:
    against, nothing, support = coloured(np.array([-0.8, 0.0, 0.8])).astype(int)
    assert against[2] > against[0]
    assert support[0] > support[2]
    assert len(set(nothing)) == 1
