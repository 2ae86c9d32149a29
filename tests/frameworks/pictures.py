"""Images whose every pixel differs, and all that an augmentation may make of one."""

from typing import Any

import numpy as np

SIDE = 5
WANTED: dict[str, Any] = {"flip": True, "shift": 2, "erase": 3}


def images(count: int = 400) -> np.ndarray:
    """float32 [N, 2, 5, 5], no pixel 0."""
    one = np.arange(1, 2 * SIDE * SIDE + 1, dtype=np.float32).reshape(1, 2, SIDE, SIDE)
    return np.repeat(one, count, axis=0)


def check(found: np.ndarray) -> None:
    """Each is one of the images that may be made, half of them mirrored, and every way of moving is among them."""
    (one,) = images(1)
    made = _moved(one)
    ways = [_way(image, made) for image in found]
    mirrored = sum(way[0] for way in ways)
    assert 0.35 < mirrored / len(ways) < 0.65
    assert {way[1:] for way in ways} == {way[1:] for way in made}, "25 ways of moving, 400 images"
    blanked = [int((made[way][0] != 0).sum() - (image[0] != 0).sum()) for way, image in zip(ways, found, strict=True)]
    assert max(blanked) == 9, "a whole square of 3"
    assert len({tuple(image.ravel()) for image in found}) > 200, "each image has its own chance"


def _moved(one: np.ndarray) -> dict[tuple[bool, int, int], np.ndarray]:
    made = {}
    for flip in (False, True):
        padded = np.pad(one[..., ::-1] if flip else one, ((0, 0), (2, 2), (2, 2)))
        for down in range(5):
            for right in range(5):
                made[flip, down, right] = padded[:, down : down + SIDE, right : right + SIDE]
    return made


def _way(image: np.ndarray, made: dict[tuple[bool, int, int], np.ndarray]) -> tuple[bool, int, int]:
    """How it was made: what is not blanked is the moved image's; what is blanked is one rectangle in all channels."""
    fitting = []
    for way, whole in made.items():
        gone = (image != whole)[0]
        rows, columns = np.flatnonzero(gone.any(axis=1)), np.flatnonzero(gone.any(axis=0))
        same = bool((image[:, ~gone] == whole[:, ~gone]).all() and not image[:, gone].any())
        small = all(len(line) == 0 or line[-1] - line[0] < 3 for line in (rows, columns))
        if same and small:
            fitting.append(way)
    assert fitting, image
    return min(fitting, key=lambda way: int((made[way] != image).sum()))
