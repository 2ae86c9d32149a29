import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.core.errors import Unprocessable
from gristmill.tasks.recipe import parse_recipe, read_recipe, set_fields

RIGHT: dict[str, Any] = {
    "name": "digits",
    "task": "image-classification",
    "data": {"dataset": "digits"},
    "architecture": {"name": "cnn", "channels": [8, 16]},
}
REGRESSION = RIGHT | {"task": "tabular-regression", "architecture": {"name": "mlp"}}


def test_a_short_recipe_is_enough_and_keeps_the_architectures_own_options() -> None:
    recipe = parse_recipe(RIGHT)
    assert (recipe.framework, recipe.optimiser.name, recipe.training.batch_size) == ("torch", "adamw", 64)
    assert recipe.architecture.model_dump() == {"name": "cnn", "channels": [8, 16]}
    assert parse_recipe(recipe.model_dump(mode="json")) == recipe


WRONG: list[tuple[dict[str, Any], str]] = [
    (RIGHT | {"optimizer": {"name": "adamw"}}, "no field 'optimizer': did you mean 'optimiser'"),
    (RIGHT | {"optimiser": {"learningrate": 1}}, "no field 'optimiser.learningrate': did you mean 'learning_rate'"),
    (RIGHT | {"training": {"early_stopping": {"patence": 3}}}, "did you mean 'patience'"),
    (RIGHT | {"training": {"epochs": 0}}, "training.epochs is 0"),
    (RIGHT | {"training": {"epochs": "many"}}, "training.epochs is 'many'"),
    (RIGHT | {"optimiser": {"learning_rate": float("nan")}}, "learning_rate"),
    (RIGHT | {"loss": {"name": "hinge"}}, "loss.name is 'hinge'"),
    (RIGHT | {"resources": {"memory": "2 apples"}}, "resources.memory"),
    ({key: value for key, value in RIGHT.items() if key != "data"}, "lacks the field 'data'"),
    (RIGHT | {"loss": {"name": "mse"}}, "loss.name: mse does not fit image-classification"),
    (REGRESSION | {"regularisation": {"mixup": 0.2}}, "mixes class labels"),
    (REGRESSION | {"augmentation": {"flip": True}}, "tabular-regression has none"),
    (REGRESSION | {"loss": {"class_weights": "balanced"}}, "weights classes"),
    (REGRESSION | {"loss": {"name": "mse", "label_smoothing": 0.1}}, "goes with cross-entropy only"),
    (RIGHT | {"architecture": {"name": "bilstm"}}, "bilstm is for text-classification"),
    (RIGHT | {"training": {"precision": "fp16"}}, "fp16 needs a GPU"),
    (RIGHT | {"name": "../x"}, "is not valid"),
]


@pytest.mark.parametrize(("recipe", "says"), WRONG, ids=[says for _, says in WRONG])
def test_a_mistake_is_named_in_one_sentence(recipe: dict[str, Any], says: str) -> None:
    with pytest.raises(Unprocessable) as refusal:
        parse_recipe(recipe)
    assert says in refusal.value.message
    assert "\n" not in refusal.value.message


@pytest.mark.parametrize(
    ("text", "says"), [("", "empty"), ("- a", "not a mapping"), ("a: [", "line 1"), ("a: b: c", "line 1")]
)
def test_what_is_no_yaml_mapping_is_said_by_its_line(text: str, says: str) -> None:
    with pytest.raises(Unprocessable, match=says):
        read_recipe(text)


def test_fields_are_set_from_the_command_line_as_yaml() -> None:
    changed = set_fields(RIGHT, ["training.epochs=3", "architecture.channels=[1, 2]", "optimiser.learning_rate=1.0e-2"])
    recipe = parse_recipe(changed)
    assert (recipe.training.epochs, recipe.optimiser.learning_rate) == (3, 0.01)
    assert "training" not in RIGHT
    with pytest.raises(Unprocessable, match=r"training\.epochs=3"):
        set_fields(RIGHT, ["epochs"])


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
)


@given(VALUES)
def test_no_value_anywhere_escapes_as_another_error(value: Any) -> None:
    for field in ("data", "architecture", "training", "loss", "resources", "preprocessing", "name", "priority"):
        with contextlib.suppress(Unprocessable):
            parse_recipe(RIGHT | {field: value})
