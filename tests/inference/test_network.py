"""A network is used with the data set that it was trained for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from svipctl.datasets.benchmark import Benchmark
from svipctl.errors import DataError
from svipctl.inference.checkpoint import Metadata, sha256_of
from svipctl.inference.network import check_same_benchmark
from tests.evaluation.cases import benchmark
from tests.inference.models import metadata
from tests.model.tiny import svip


@pytest.fixture
def data(tmp_path: Path) -> Benchmark:
    return benchmark(tmp_path)


@pytest.fixture
def described(data: Benchmark) -> Metadata:
    return metadata(svip(), classes=data.classes, attributes=data.attributes)


def test_other_classes_or_attributes_are_refused(described: Metadata, data: Benchmark) -> None:
    check_same_benchmark(described, data)
    with pytest.raises(DataError, match="other classes") as caught:
        check_same_benchmark(replace(described, classes=("a",)), data)
    assert caught.value.why == "1 then, 4 now"
    with pytest.raises(DataError, match="other attributes") as caught:
        check_same_benchmark(replace(described, attributes=data.attributes[::-1]), data)
    assert caught.value.why == "their names or order differ"


def test_changed_class_attributes_are_refused(described: Metadata, data: Benchmark) -> None:
    recorded = replace(described, class_attributes_sha256=sha256_of(data.class_attributes))
    check_same_benchmark(recorded, data)
    with pytest.raises(DataError, match="class attributes of toy have changed"):
        check_same_benchmark(recorded, replace(data, class_attributes=data.class_attributes + 0.5))
