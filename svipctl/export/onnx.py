"""Export to ONNX with torch's exporter, and run the file with onnxruntime."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

from svipctl.errors import ConfigError
from svipctl.export.description import KEY, to_text
from svipctl.export.graph import INPUTS, OUTPUTS, ExportGraph
from svipctl.export.runner import Runner
from svipctl.export.torch_export import traced

_BLOCKS = ".backbone.blocks."


def require_onnx() -> ModuleType:
    """Return onnxruntime.

    Raises:
        ConfigError: The extra is not installed.

    """
    try:
        import onnx  # noqa: F401
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            "ONNX needs packages that are not installed", why=str(error), todo="pip install 'svipctl[export]'"
        ) from error
    return onnxruntime  # type: ignore[no-any-return]


def write_onnx(graph: ExportGraph, description: dict[str, Any], path: Path) -> None:
    """Write a graph, in int8 if the description requests it; batch size and number of classes stay free.

    Args:
        graph: Graph to write.
        description: Description, saved in the file's metadata under `KEY`.
        path: The file.

    """
    require_onnx()
    import onnx

    with _silence():
        program = torch.onnx.export(traced(graph), input_names=INPUTS, output_names=OUTPUTS, dynamo=True, verbose=False)
        assert program is not None
        model = program.model_proto
        if description["precision"] == "int8":
            model = _quantised(model, path)
        entry = model.metadata_props.add()
        entry.key, entry.value = KEY, to_text(description)
        model.producer_name = description["made_by"]
        onnx.checker.check_model(model)
        onnx.save(model, str(path))


def open_onnx(path: Path, threads: int = 0) -> Runner:
    """Return the file in onnxruntime on the CPU; with `threads` 0 onnxruntime chooses their number."""
    runtime = require_onnx()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def run(*arrays: np.ndarray) -> list[np.ndarray]:
        outputs: list[np.ndarray] = session.run(OUTPUTS, dict(zip(INPUTS, arrays)))
        return outputs

    return Runner(f"onnxruntime {runtime.__version__}", run)


def _quantised(model: Any, path: Path) -> Any:
    """Return the weights of the transformer blocks in int8, activations at run time; selection and scoring stay in
    fp32.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    kept = [node.name for node in model.graph.node if _BLOCKS not in _scopes(node)]
    whole = path.with_name(f"{path.name}.fp32")
    import onnx

    try:
        onnx.save(model, str(whole))
        quantize_dynamic(
            whole,
            path,
            op_types_to_quantize=["MatMul"],
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,  # 7 bits: the 16-bit sums of processors without VNNI overflow with 8
            nodes_to_exclude=kept,
        )
        return onnx.load(str(path))
    finally:
        whole.unlink(missing_ok=True)


def _scopes(node: Any) -> str:
    """Return the modules of a node, as torch's exporter records them."""
    return next((entry.value for entry in node.metadata_props if entry.key == "pkg.torch.onnx.name_scopes"), "")


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Discard what exporter and quantiser print and warn about their internals; errors are still raised."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
