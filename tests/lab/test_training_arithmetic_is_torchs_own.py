"""Schedules, losses, optimisers and the moving average against PyTorch's; gradients against their axiom."""

import numpy as np
import pytest
import torch
from torch import nn

from gristmill.frameworks.on_torch.losses import build_loss
from gristmill.frameworks.on_torch.optimisers import build_optimiser
from gristmill.frameworks.on_torch.regularisation import MovingAverage
from gristmill.frameworks.schedules import build_schedule
from gristmill.frameworks.torch.architectures.mlp import MLP
from gristmill.frameworks.torch.architectures.shapes import Shapes
from gristmill.frameworks.torch.architectures.text_classification import transformer
from gristmill.frameworks.torch.gradients import integrated_gradients
from gristmill.tasks.recipe import Loss, Optimiser, Schedule

STEPS = 40


def rates(make: type[torch.optim.lr_scheduler.LRScheduler], **options: float) -> list[float]:
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], 1.0)
    schedule = make(optimiser, **options)  # type: ignore[arg-type]
    found = []
    for _ in range(STEPS):
        found.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step()
    return found


def test_cosine_and_step_schedules_are_torchs() -> None:
    cosine = build_schedule(Schedule(name="cosine"), STEPS, 10)
    step = build_schedule(Schedule(name="step", step_epochs=1, decay=0.5), STEPS, 10)
    schedulers = torch.optim.lr_scheduler
    assert [cosine(n) for n in range(STEPS)] == pytest.approx(rates(schedulers.CosineAnnealingLR, T_max=STEPS))
    assert [step(n) for n in range(STEPS)] == pytest.approx(rates(schedulers.StepLR, step_size=10, gamma=0.5))


def test_a_warm_up_rises_to_the_peak_and_never_above_it() -> None:
    for name in ("constant", "linear", "cosine", "one-cycle"):
        schedule = build_schedule(Schedule(name=name, warmup_steps=8), STEPS, 10)
        warm = [schedule(n) for n in range(8)]
        assert warm == sorted(warm)
        assert max(schedule(n) for n in range(STEPS)) <= 1.0


def test_focal_loss_without_discount_is_cross_entropy() -> None:
    torch.manual_seed(0)
    logits, y = torch.randn(50, 4), torch.randint(4, (50,))
    for weights in (None, "balanced"):
        focal = build_loss(Loss(name="focal", gamma=0, class_weights=weights), "focal", y, 4)(logits, y)
        entropy = build_loss(Loss(class_weights=weights), "cross-entropy", y, 4)(logits, y)
        assert float(focal) == pytest.approx(float(entropy), rel=1e-5)


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_an_optimisers_step_is_torchs_and_biases_are_not_decayed(name: str) -> None:
    ours, theirs = (MLP(3, 1, [4]) for _ in range(2))
    theirs.load_state_dict(ours.state_dict())
    chosen = Optimiser(name=name, learning_rate=0.1, weight_decay=0.5)  # type: ignore[arg-type]
    groups = [{"params": [p for p in theirs.parameters() if p.ndim == 2], "weight_decay": 0.5},
              {"params": [p for p in theirs.parameters() if p.ndim == 1], "weight_decay": 0.0}]  # fmt: skip
    reference = torch.optim.SGD(groups, 0.1, 0.9) if name == "sgd" else torch.optim.AdamW(groups, 0.1)
    x = torch.randn(8, 3)
    for model, optimiser in ((ours, build_optimiser(chosen, ours)), (theirs, reference)):
        for _ in range(3):
            optimiser.zero_grad()
            model(x).square().mean().backward()
            optimiser.step()
    for found, expected in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_the_moving_average_is_the_formula() -> None:
    model = nn.BatchNorm1d(2)
    average = MovingAverage(model, 0.9)
    with torch.no_grad():
        model.weight.fill_(3.0)
    model.num_batches_tracked.fill_(7)
    average.update(model, 1000)
    torch.testing.assert_close(average.model.weight, torch.full((2,), 0.9 * 1 + 0.1 * 3))  # type: ignore[arg-type]
    assert int(average.model.num_batches_tracked) == 7  # type: ignore[arg-type]


def test_integrated_gradients_sum_to_the_score_less_the_baselines() -> None:
    torch.manual_seed(1)
    module = MLP(5, 3, [16]).eval()
    x = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32)
    chosen = np.array([0, 1, 2, 0])
    found, delta = integrated_gradients(
        module, torch.device("cpu"), {"features": x}, {"features": np.zeros_like(x)}, chosen, 400
    )
    with torch.no_grad():
        score, base = (module(torch.from_numpy(v)).softmax(1).numpy()[range(4), chosen] for v in (x, np.zeros_like(x)))
    np.testing.assert_allclose(found["features"].sum(axis=1), score - base, atol=2e-3)
    np.testing.assert_allclose(delta, 0, atol=2e-3)


def test_a_text_longer_than_the_transformers_positions_is_still_answered() -> None:
    module = transformer(Shapes((4,), 2, 9), width=8, heads=2, layers=1, max_length=4).eval()
    with torch.inference_mode():
        assert module(torch.ones(1, 11, dtype=torch.int64)).shape == (1, 2)
