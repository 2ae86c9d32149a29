"""Names that a stranger's file gives its tensors and labels: they are shown on terminals and pages."""

from __future__ import annotations

from collections.abc import Iterable

from gristmill.core.errors import Unprocessable

_LONGEST = 255


def check_names(names: Iterable[str], what: str) -> None:
    """Raises Unprocessable for one that is empty, too long, or would move a terminal's cursor."""
    for name in names:
        if not name or len(name) > _LONGEST or not name.isprintable():
            shown = ascii(name[:40])[1:-1]
            raise Unprocessable(
                f"The model has {what} named '{shown}': a name should have 1 to {_LONGEST} characters that can be "
                "printed; rename it where the model is made.", field="source",
            )  # fmt: skip
