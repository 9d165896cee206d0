"""Test that a trained model gives what its network gives on the decoded pixels, for every form of images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from svipctl.datasets.benchmark import Benchmark
from svipctl.datasets.folder import open_folder
from svipctl.datasets.images import Geometry, Normalisation, Transform
from svipctl.errors import CheckFailed, ConfigError, DataError
from svipctl.inference.answers import ClassifiedImage, UnreadableImage
from svipctl.inference.class_table import ClassTable
from svipctl.inference.gamma import NOT_CALIBRATED
from svipctl.inference.load import load_run
from svipctl.inference.trained_model import TrainedModel
from svipctl.model.backbone import embed_patches, encode
from svipctl.model.recipe import Recipe
from svipctl.runs.run import Run
from svipctl.settings.schema import Settings
from tests.inference.models import metadata, trained_model
from tests.model.tiny import ATTRIBUTES, svip

HALF = Normalisation([0.5] * 3, [0.5] * 3)


def candidates(count: int = 6) -> ClassTable:
    table = np.random.default_rng(2).uniform(0.1, 1, (count, ATTRIBUTES))
    return ClassTable(tuple(f"class_{number}" for number in range(count)), table, np.arange(count) < count // 2)


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    rng = np.random.default_rng(1)
    folder = tmp_path / "pictures"
    folder.mkdir()
    paths = [folder / f"{number}.png" for number in range(5)]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(path)
    return paths


def inputs_of(path: Path) -> torch.Tensor:
    pixels = torch.tensor(np.asarray(Image.open(path)).transpose(2, 0, 1)[None] / 255, dtype=torch.float32)
    return (pixels - 0.5) / 0.5


@torch.no_grad()
def expected_scores(model: TrainedModel, path: Path, table: ClassTable, gamma: float) -> np.ndarray:
    predicted = model.network.predict(inputs_of(path)).attributes[0].double().numpy()
    rows = table.class_attributes / np.linalg.norm(table.class_attributes, axis=1, keepdims=True)
    if model.network.recipe.class_score == "cosine":
        predicted = predicted / np.linalg.norm(predicted)
    return rows @ predicted - gamma * table.seen


def classified(model: TrainedModel, images: Any, table: ClassTable, **options: Any) -> list[ClassifiedImage]:
    found = list(model.classify_each(images, table, **options))
    assert all(isinstance(one, ClassifiedImage) for one in found)
    return found  # type: ignore[return-value]


def summary(found: list[ClassifiedImage]) -> list[tuple[Any, ...]]:
    """Return the answer for each image, without the image itself."""
    return [(one.answers, one.attributes.tolist(), one.related.tolist()) for one in found]


def forms(pictures: list[Path]) -> dict[str, Any]:
    arrays = np.stack([np.asarray(Image.open(path)) for path in pictures])
    return {
        "paths": pictures,
        "names": [str(path) for path in pictures],
        "a folder": pictures[0].parent,
        "PIL images": [Image.open(path) for path in pictures],
        "an array": arrays,
        "a list of arrays": list(arrays),
        "a tensor": torch.from_numpy(arrays.transpose(0, 3, 1, 2).copy()),
        "floats": torch.from_numpy(arrays.transpose(0, 3, 1, 2).copy()).float() / 255,
    }


@pytest.mark.parametrize("kind", ["cosine", "dot"])
@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_answers_are_the_best_classes_in_the_order_of_the_images(
    kind: str, batch_size: int, pictures: list[Path]
) -> None:
    model = trained_model(svip(Recipe(keep=2, class_score=kind)))  # type: ignore[arg-type]
    found = classified(model, pictures, candidates(), gamma=0.3, top=3, batch_size=batch_size)
    assert [one.image for one in found] == pictures
    for one, path in zip(found, pictures):
        scores = expected_scores(model, path, candidates(), 0.3)
        best = np.argsort(-scores)[:3]
        assert [answer.name for answer in one.answers] == [f"class_{number}" for number in best]
        assert [answer.score for answer in one.answers] == pytest.approx(scores[best].tolist(), abs=1e-5)


def test_the_related_windows_are_those_that_the_patch_classifier_selects(pictures: list[Path]) -> None:
    model = trained_model()
    (one,) = classified(model, pictures[0], candidates())
    with torch.no_grad():
        unrelated = model.network.predict(inputs_of(pictures[0])).unrelated[0].numpy()
    assert one.related.shape == (2, 2)
    assert set(np.flatnonzero(one.related.ravel())) == set(np.argsort(unrelated)[:2])
    assert np.array_equal(model.predict(pictures[0]).related[0], one.related.ravel())


def test_unreadable_images_are_reported_in_order_and_leave_the_other_answers(
    pictures: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "text.jpg").write_text("no picture")
    mixed = [tmp_path / "gone.png", pictures[0], tmp_path / "text.jpg", pictures[1], tmp_path / "gone.png"]
    found = list(trained_model().classify_each(mixed, candidates(), batch_size=2))
    assert [type(one) for one in found] == [
        *(UnreadableImage, ClassifiedImage, UnreadableImage, ClassifiedImage, UnreadableImage)
    ]
    assert [one.image for one in found] == mixed
    assert "image not found" in str(found[0].error)  # type: ignore[union-attr]
    alone = classified(trained_model(), pictures[:2], candidates(), batch_size=1)
    assert [[a.name for a in one.answers] for one in found if isinstance(one, ClassifiedImage)] == [
        [a.name for a in one.answers] for one in alone
    ]


def test_an_unreadable_image_is_an_error_in_calls_that_return_all_results(pictures: list[Path], tmp_path: Path) -> None:
    mixed = [*pictures[:2], tmp_path / "gone.png"]
    model = trained_model()
    for call in (model.predict, model.embed, lambda images: model.classify(images, candidates())):
        with pytest.raises(DataError, match=r"image not found: .*gone"):
            call(mixed)
        with pytest.raises(DataError, match="is not an image"):
            call(np.zeros((4, 4), dtype=np.uint8))


def test_at_most_two_batches_are_read_ahead_of_the_answers(pictures: list[Path]) -> None:
    taken = [0]

    def endless() -> Iterator[Path]:
        while True:
            taken[0] += 1
            yield pictures[taken[0] % len(pictures)]

    for given, _ in enumerate(trained_model().classify_each(endless(), candidates(), batch_size=2), 1):
        assert taken[0] <= given + 4
        if given == 20:
            break


def test_a_model_with_weights_that_are_not_finite_is_an_error(pictures: list[Path]) -> None:
    model = trained_model()
    with torch.no_grad():
        model.network.attribute_head.bias[0] = torch.nan
    with pytest.raises(CheckFailed, match="not finite"):
        list(model.classify_each(pictures, candidates()))
    with pytest.raises(CheckFailed, match="not finite"):
        model.predict(pictures)
    with torch.no_grad():
        model.network.backbone.norm.bias[0] = torch.nan
    with pytest.raises(CheckFailed, match="features that are not finite"):
        model.embed(pictures)


@torch.no_grad()
def test_predictions_and_features_are_those_of_the_network(pictures: list[Path]) -> None:
    model = trained_model()
    found, features = model.predict(pictures, batch_size=2), model.embed(pictures, batch_size=2)
    assert (found.attributes.shape, found.attributes.dtype) == ((5, ATTRIBUTES), np.float64)
    assert (found.related.shape, found.related.dtype) == ((5, 4), np.bool_)
    assert (features.shape, features.dtype) == ((5, 16), np.float32)
    for row, path in enumerate(pictures):
        expected = model.network.predict(inputs_of(path))
        np.testing.assert_allclose(found.attributes[row], expected.attributes[0], atol=1e-5)
        assert np.array_equal(found.related[row], expected.related[0])
        backbone = model.network.backbone
        tokens, _ = encode(backbone, embed_patches(backbone, inputs_of(path)))
        np.testing.assert_allclose(features[row], tokens[0].mean(dim=0), atol=1e-5)


@pytest.mark.parametrize(
    "form", ["names", "a folder", "PIL images", "an array", "a list of arrays", "a tensor", "floats"]
)
def test_every_form_of_the_images_gives_the_same_answers(form: str, pictures: list[Path]) -> None:
    model, given = trained_model(), forms(pictures)
    assert np.array_equal(model.predict(given[form]).attributes, model.predict(pictures).attributes)
    assert np.array_equal(model.predict(given[form]).related, model.predict(pictures).related)
    assert np.array_equal(model.embed(given[form]), model.embed(pictures))
    found = model.classify(forms(pictures)[form], candidates(), gamma=0.1)
    assert summary(found) == summary(model.classify(pictures, candidates(), gamma=0.1))


def test_photographs_are_turned_upright(tmp_path: Path) -> None:
    upright = Image.fromarray(np.random.default_rng(3).integers(0, 256, (30, 50, 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 8
    upright.transpose(Image.Transpose.ROTATE_270).save(tmp_path / "turned.png", exif=exif)
    model = trained_model()
    assert np.array_equal(model.predict(tmp_path / "turned.png").attributes, model.predict(upright).attributes)


def test_no_images_give_empty_arrays_of_the_right_width() -> None:
    model = trained_model()
    found = model.predict([])
    assert (found.attributes.shape, found.related.shape, model.embed([]).shape) == ((0, 5), (0, 4), (0, 16))
    assert model.classify([], candidates()) == []


@pytest.mark.parametrize("form", ["file", "frame", "vectors", "mappings", "table"])
def test_every_form_of_a_class_table_gives_the_same_answers(form: str, pictures: list[Path], tmp_path: Path) -> None:
    model, table = trained_model(seen_classes=["class_0", "class_1", "class_2"]), candidates()
    expected = summary(model.classify(pictures, table, gamma=0.2))
    rows = [[name, *map(repr, values)] for name, values in zip(table.classes, table.class_attributes.tolist())]
    if form == "file":
        given: Any = tmp_path / "classes.csv"
        given.write_text("\n".join(",".join(row) for row in [["class", *model.attributes], *rows]))
    elif form == "frame":
        pandas = pytest.importorskip("pandas")
        given = pandas.DataFrame(table.class_attributes, index=table.classes, columns=list(model.attributes))
    elif form == "vectors":
        given = dict(zip(table.classes, table.class_attributes))
    elif form == "mappings":
        vectors = (dict(zip(model.attributes, values)) for values in table.class_attributes)
        given = dict(zip(table.classes, vectors))
    else:
        given = table
    assert summary(model.classify(pictures, given, gamma=0.2)) == expected


def test_an_unusable_class_table_is_refused_before_any_image_is_read(tmp_path: Path) -> None:
    model = trained_model()
    with pytest.raises(DataError, match="the class table cannot be used: 1 problem"):
        model.classify(tmp_path / "gone.png", {"e": [1.0, 2.0]})
    with pytest.raises(DataError, match="column 'a9' is not an attribute"):
        model.classify(tmp_path / "gone.png", {"e": dict.fromkeys(("a0", "a1", "a2", "a3", "a9"), 1.0)})


def test_the_network_is_unchanged_and_has_no_gradients(pictures: list[Path]) -> None:
    model = trained_model()
    pixels = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    model.network.train()
    with model.inference() as network:
        assert network is model.network
        assert not network.training
    prediction = model.predict_pixels(pixels)
    assert not prediction.attributes.requires_grad
    assert model.network.training
    model.network.eval()
    with torch.no_grad():
        expected = model.network.predict(HALF(pixels))
    assert torch.equal(prediction.attributes, expected.attributes)
    model.predict(pictures)
    assert not model.network.training


def test_the_network_is_unchanged_after_an_error() -> None:
    model = trained_model()
    model.network.train()
    with pytest.raises(RuntimeError, match="stopped"), model.inference():
        raise RuntimeError("stopped")
    assert model.network.training
    assert torch.is_grad_enabled()
    assert not torch.is_autocast_enabled("cpu")


@pytest.mark.parametrize("use", ["predict", "embed", "classify"])
def test_the_code_of_an_iterable_runs_in_its_own_arithmetic(use: str, pictures: list[Path]) -> None:
    found = []

    def images() -> Iterator[Path]:
        for path in pictures:
            found.append((torch.is_autocast_enabled("cpu"), torch.is_grad_enabled()))
            yield path

    more = (candidates(),) if use == "classify" else ()
    getattr(trained_model(dtype=torch.bfloat16), use)(images(), *more, batch_size=1)
    assert set(found) == {(False, True)}


def test_bf16_predictions_and_features_are_near_those_of_full_precision(pictures: list[Path]) -> None:
    exact, half = (trained_model(dtype=dtype) for dtype in (torch.float32, torch.bfloat16))
    assert half.predict(pictures).attributes.dtype == np.float64
    assert half.embed(pictures).dtype == np.float32
    with half.inference() as network:
        assert torch.is_autocast_enabled("cpu")
        assert network.predict(half.inputs(torch.zeros(1, 3, 32, 32, dtype=torch.uint8))) is not None
    for predict in (lambda model: model.predict(pictures).attributes, lambda model: model.embed(pictures)):
        assert not np.array_equal(predict(half), predict(exact))
        np.testing.assert_allclose(predict(half), predict(exact), atol=0.3)


def test_transform_and_normalisation_are_those_of_the_metadata() -> None:
    model = trained_model(mean=[0.1, 0.2, 0.3], std=[0.4, 0.5, 0.6])
    assert model.transform == Transform(32)
    assert model.geometry == Geometry("shorter-side", 32)
    pixels = torch.full((1, 3, 32, 32), 51, dtype=torch.uint8)
    assert model.inputs(pixels)[0, :, 0, 0].tolist() == pytest.approx([0.1 / 0.4, 0.0, -0.1 / 0.6], abs=1e-6)
    assert (model.attributes, model.classes, model.seen_classes) == (
        *(("a0", "a1", "a2", "a3", "a4"), ("x", "y"), ("x",)),
    )


@pytest.fixture
def data(shared_folder: Path) -> Benchmark:
    return open_folder(shared_folder)


@pytest.fixture
def model(trained_copy: Path) -> TrainedModel:
    """Return the trained model of a run on the tiny data folder."""
    return load_run(Run(trained_copy), torch.device("cpu"))


def test_the_default_classes_of_a_run_are_those_of_its_data_set_with_its_gamma(
    model: TrainedModel, data: Benchmark, trained_copy: Path
) -> None:
    images = [data.image_path(int(index)) for index in data.test_seen[:3]]
    table = ClassTable.of(data, model.seen_classes)
    own = model.own_classes()
    assert (own.classes, own.seen.tolist()) == (data.classes, [True] * 6 + [False] * 2)
    assert model.gamma.value == 0
    assert summary(model.classify(images)) == summary(model.classify(images, table, gamma=0))
    (trained_copy / "development.json").write_text('{"gamma": 0.25, "runs": [{"run": "d1"}]}')
    assert model.gamma.value == 0.25
    assert summary(model.classify(images)) == summary(model.classify(images, table, gamma=0.25))
    assert summary(model.classify(images)) != summary(model.classify(images, table, gamma=0))
    assert summary(model.classify(images, gamma=0)) == summary(model.classify(images, table, gamma=0))


def test_gamma_belongs_to_the_best_checkpoint_of_the_run(model: TrainedModel, trained_copy: Path) -> None:
    (trained_copy / "development.json").write_text('{"gamma": 0.25, "runs": [{"run": "d1"}]}')
    for other in (replace(model, is_best=False), replace(model, run=None)):
        assert (other.gamma.value, other.gamma.origin) == (0, NOT_CALIBRATED)


def test_classes_of_a_changed_data_set_are_refused(model: TrainedModel, data: Benchmark) -> None:
    assert model.own_classes(data).classes == data.classes
    with pytest.raises(DataError, match="have changed since"):
        model.own_classes(replace(data, class_attributes=data.class_attributes + 0.5))


def test_without_a_run_the_error_says_what_to_pass_instead_of_its_data_set(pictures: list[Path]) -> None:
    with pytest.raises(ConfigError, match="the folder of the data set toy is not known") as caught:
        trained_model().classify(pictures)
    assert "your own classes" in caught.value.todo


def test_the_data_set_is_opened_in_the_runs_folder_unless_another_is_given(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    run.make()
    run.start(Settings(dataset="cub", data_dir=tmp_path / "first"), {}, [])
    model = replace(trained_model(), run=run, metadata=metadata(svip(), dataset="cub"))
    with pytest.raises(DataError) as caught:
        model.open_dataset()
    assert str(tmp_path / "first") in str(caught.value)
    with pytest.raises(DataError) as caught:
        replace(model, data_dir=tmp_path / "second").open_dataset()
    assert str(tmp_path / "second") in str(caught.value)


@pytest.mark.slow
def test_compiled_blocks_give_the_predictions_of_eager_ones(pictures: list[Path]) -> None:
    model = trained_model()
    eager = model.predict(pictures).attributes
    model.network.run_blocks(compiled=True)
    assert model.network.is_compiled
    np.testing.assert_allclose(model.predict(pictures).attributes, eager, atol=1e-5)


def test_a_machine_that_cannot_compile_is_an_error_with_the_setting_that_disables_it(pictures: list[Path]) -> None:
    def no_compiler(*_: object) -> Any:
        raise OSError("no C++ compiler found")

    model = trained_model()
    model.network.run_blocks(compiled=True, backend=no_compiler)
    with pytest.raises(ConfigError, match=r"torch\.compile does not work") as refused:
        model.predict(pictures)
    assert "eval.compile=false" in refused.value.todo
