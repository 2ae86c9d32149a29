"""What stands under a picture: what is explained, by which method, and how faithful that is."""

from __future__ import annotations

from textwrap import shorten

from PIL import ImageDraw, ImageFont

from gristmill.explanation.document import Explanation

_FONT_PIXELS = 12
_LONGEST = 60  # characters of what is explained


def legend_lines(explanation: Explanation) -> list[str]:
    about = explanation.label if explanation.label is not None else f"output {explanation.target}"
    measure = "log probability " if explanation.outputs is not None else ""
    lines = [
        f"{shorten(about, _LONGEST)}: {measure}{explanation.score:.4g} by {explanation.method}",
        "red speaks for it, blue against it",
    ]
    for name in ("deletion", "insertion"):
        area, chance = getattr(explanation, f"{name}_auc"), getattr(explanation, f"random_{name}_auc")
        if area is not None:
            lines.append(f"{name} AUC {area:.3f} (an order by chance: {chance:.3f})")
    if explanation.delta is not None:
        lines.append(f"convergence error {explanation.delta:.2g}")
    return lines


def write_lines(draw: ImageDraw.ImageDraw, lines: list[str], at: tuple[int, int]) -> None:
    font = ImageFont.load_default(_FONT_PIXELS)
    for number, line in enumerate(lines):
        draw.text((at[0], at[1] + 16 * number), line, fill="black", font=font)
