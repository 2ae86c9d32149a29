"""Occlusion against captum's own, integrated gradients against their axioms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from captum.attr import FeatureAblation, Occlusion

from gristmill.core.errors import Unprocessable
from gristmill.explanation.explain import explain
from gristmill.frameworks.torch.architectures.shapes import Shapes, build
from gristmill.frameworks.torch.gradients import integrated_gradients
from tests.explanation.subjects import image, image_rows, mixed_table, table, table_rows, text, text_rows


def test_occlusion_of_a_table_is_captums_feature_ablation() -> None:
    subject, module = table()
    raw = table_rows()
    found = explain(subject, raw, method="occlusion", target=1)
    inputs = torch.from_numpy(subject.preprocessing.apply(raw)["features"])
    expected = FeatureAblation(module).attribute(inputs, target=1).detach().numpy()
    np.testing.assert_allclose([one.values for one in found], expected, atol=1e-6)
    assert found[0].names == ["ash", "flavour", "hue", "proline"]


def test_a_categorys_columns_are_hidden_together() -> None:
    subject, module = mixed_table()
    raw = {
        "age": np.array([[30.0], [55.0]], np.float32),
        "region": np.array([[b"south"], [b"mars"]], object),
        "income": np.array([[12.0], [3.0]], np.float32),
    }
    found = explain(subject, raw, method="occlusion", target=0)
    inputs = torch.from_numpy(subject.preprocessing.apply(raw)["features"])
    mask = torch.tensor([[0, 1, 1, 1, 1, 2]])
    expected = FeatureAblation(module).attribute(inputs, target=0, feature_mask=mask)[:, [0, 1, 5]].detach().numpy()
    np.testing.assert_allclose([one.values for one in found], expected, atol=1e-6)


@pytest.mark.parametrize(("window", "stride"), [(3, 2), (2, 2), (4, 3), (8, 1), (1, 1)])
def test_occlusion_of_an_image_is_captums(window: int, stride: int) -> None:
    subject, module = image()
    raw = image_rows()
    found = explain(subject, raw, method="occlusion", target=2, options={"window": window, "stride": stride})
    inputs = torch.from_numpy(subject.preprocessing.apply(raw)["image"])
    baseline = torch.from_numpy(subject.preprocessing.baseline(raw)["image"])
    expected = Occlusion(module).attribute(
        inputs, sliding_window_shapes=(1, window, window), strides=(1, stride, stride), baselines=baseline, target=2
    )
    np.testing.assert_allclose([one.values for one in found], expected[:, 0].detach().numpy(), atol=1e-6)


def test_occlusion_of_a_text_names_the_token_that_speaks_for_its_class() -> None:
    subject, module = text()
    found = explain(subject, text_rows(), method="occlusion")
    assert found[0].names == ["good", "water", ",", "good", "mill"]
    assert [len(one.values) for one in found] == [5, 2]
    inputs = torch.from_numpy(subject.preprocessing.apply(text_rows())["tokens"])
    hidden = inputs[0].repeat(2, 1)
    hidden[1, 1] = 1
    scores = module(hidden)[:, found[0].target].detach().numpy()
    assert found[0].values[1] == pytest.approx(scores[0] - scores[1], abs=1e-6)


def test_integrated_gradients_are_complete() -> None:
    """Attributions sum to the score less the baseline's (Sundararajan et al., axiom of completeness)."""
    for (subject, _), raw, tensor in ((table(), table_rows(), "features"), (image(), image_rows(), "image")):
        for row, one in enumerate(explain(subject, raw, method="integrated-gradients", options={"steps": 200})):
            base = subject.predict({tensor: subject.preprocessing.baseline(raw)[tensor][row : row + 1]})[0, one.target]
            assert np.sum(one.values) == pytest.approx(one.score - base, abs=2e-3)
            assert one.delta == pytest.approx(0, abs=2e-3)


@pytest.mark.parametrize("architecture", ["bilstm", "transformer"])
def test_integrated_gradients_of_texts_sum_to_what_their_embeddings_add(architecture: str) -> None:
    """From the text without its embeddings, of the same length, to the text; padding has no part in it."""
    torch.manual_seed(3)
    module = build("text-classification", {"name": architecture}, Shapes((12,), 3, 50)).eval()
    tokens = np.zeros((3, 12), np.int64)
    for row, length in enumerate((2, 7, 12)):
        tokens[row, :length] = np.arange(2 + row, 2 + row + length)
    targets = np.array([0, 1, 2])
    nothing = {"tokens": np.zeros_like(tokens)}
    found, delta = integrated_gradients(module, torch.device("cpu"), {"tokens": tokens}, nothing, targets, 128)
    scores = module(torch.from_numpy(tokens)).softmax(dim=1)
    with torch.no_grad():
        module.embedding.weight.zero_()
    gain = (scores - module(torch.from_numpy(tokens)).softmax(dim=1)).detach().numpy()[range(3), targets]
    np.testing.assert_allclose(found["tokens"].sum(axis=1), gain, atol=1e-4)
    np.testing.assert_allclose(delta, 0, atol=1e-4)
    assert (found["tokens"][tokens == 0] == 0).all()


def test_gradients_of_large_pictures_are_taken_of_few_rows_at_once() -> None:
    """A backward pass keeps every layer's values: 64 pictures of 224 × 224 at once end a replica of 2 GiB."""
    seen: list[int] = []

    def module(x: torch.Tensor) -> torch.Tensor:
        seen.append(len(x))
        return (x * torch.linspace(0, 1, 224)).mean(dim=(2, 3))

    pictures = np.random.default_rng(5).random((5, 3, 224, 224), np.float32)
    targets, nothing = np.array([0, 1, 2, 0, 1]), {"image": np.zeros_like(pictures)}
    found, delta = integrated_gradients(module, torch.device("cpu"), {"image": pictures}, nothing, targets, 8)
    assert max(seen) == 3
    np.testing.assert_allclose(delta, 0, atol=1e-4)
    assert found["image"].shape == pictures.shape
    small: list[int] = []
    integrated_gradients(
        lambda x: (small.append(len(x)), x.mean(dim=(2, 3)))[1], torch.device("cpu"),
        {"image": pictures[..., :28, :28]}, {"image": nothing["image"][..., :28, :28]}, targets, 64,
    )  # fmt: skip
    assert max(small) > 32


def test_integrated_gradients_are_refused_where_the_runtime_has_none() -> None:
    subject, _ = text()
    with pytest.raises(Unprocessable, match="has no gradients: ask for method occlusion"):
        explain(subject, text_rows(), method="integrated-gradients")


@pytest.mark.parametrize(
    ("method", "target", "options", "said"),
    [
        ("occlusio", None, {}, "Did you mean 'occlusion'"),
        ("occlusion", 3, {}, "outputs 0 to 2"),
        ("occlusion", None, {"steps": 3}, "no option 'steps'"),
        ("integrated-gradients", None, {"stepps": 3}, "Did you mean 'steps'"),
        ("integrated-gradients", None, {"steps": 1}, "from 2 to 1024"),
        ("integrated-gradients", None, {"steps": True}, "from 2 to 1024"),
        ("occlusion", None, {"points": 1}, "from 2 to 256"),
    ],
)
def test_a_wrong_request_is_refused_in_one_sentence(method: str, target: int, options: dict, said: str) -> None:
    subject, _ = table()
    with pytest.raises(Unprocessable, match=said):
        explain(subject, table_rows(), method=method, target=target, options=options)
