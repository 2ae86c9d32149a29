"""The model card: what a version is for, what it was made from, how good it is, what it cost."""

from __future__ import annotations

from collections.abc import Sequence

from gristmill.core.types import ResourceUse
from gristmill.lab.loading import Splits
from gristmill.lab.slices import by_step
from gristmill.lab.training import Training
from gristmill.tasks.protocol import Examples, Tensors
from gristmill.tasks.series import FORECAST, target_names

_LIMITS = (
    "Its figures hold for rows like those of the dataset above. It has not been tested on other sources, for fairness "
    "across groups, or against inputs made to mislead it."
)


def write_card(
    training: Training, metrics: dict[str, float], outputs: Tensors, held_out: Examples, use: ResourceUse
) -> str:
    """Markdown."""
    dataset, recipe, spec, trained = training.spec.dataset, training.recipe, training.spec, training.trained
    assert dataset is not None
    parts = zip(Splits._fields, training.splits, strict=True)
    word = "rows" if held_out.references is None else "windows"
    rows = ", ".join(f"{len(part.targets)} {name} {word}" for name, part in parts)
    figures = [(name.removeprefix("test/"), f"{value:.4f}") for name, value in metrics.items()]
    sections = [
        f"# {spec.model or recipe.name}\n\n{recipe.task}, {recipe.architecture.name} in {recipe.framework}, "
        f"{trained.parameters:,} parameters, {trained.steps:,} steps.",
        f"## Data\n\n{dataset.name}@{dataset.version} (`{dataset.digest}`), "
        f"licence: {dataset.licence or 'not stated'}; {rows}.",
        "## Quality\n\n" + _table(("metric", "test"), figures),
        _by_step(outputs, held_out) if FORECAST in outputs else _slices(outputs, held_out),
        f"## Cost\n\n{use.cpu_s:.1f} CPU-seconds, {use.wall_s:.1f} s, "
        f"peak memory {use.peak_memory_bytes / 2**20:.0f} MiB, {_energy(use)}.",
        f"## Limits\n\n{_LIMITS}",
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _energy(use: ResourceUse) -> str:
    energy = use.energy
    if energy.value is None:
        return "energy unknown"
    return f"{energy.value:.0f} J ({energy.basis}: {energy.source})"


def _slices(outputs: Tensors, held_out: Examples) -> str:
    if held_out.labels is None:
        return ""
    right = outputs["probabilities"].argmax(axis=1) == held_out.targets
    rows = [
        (label, str(int(chosen.sum())), f"{right[chosen].mean():.4f}")
        for place, label in enumerate(held_out.labels)
        if (chosen := held_out.targets == place).any()
    ]
    return "## By class\n\n" + _table(("class", "rows", "recall"), rows)


def _by_step(outputs: Tensors, held_out: Examples) -> str:
    names = target_names(held_out.target, held_out.targets)
    rows = [(part["slice"], *(f"{part[name]:.4f}" for name in ("mae", "mase", "naive_mase")))
            for part in by_step(outputs, held_out.targets, names)]  # fmt: skip
    return "## By step\n\n" + _table(("ahead", "MAE", "MASE", "MASE of the naive forecast"), rows)


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
