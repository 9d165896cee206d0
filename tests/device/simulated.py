"""A second device that computes on the CPU: real values, gradients and autocast, on tensors of another device type.

It represents a GPU on machines without one: an operation on tensors of two devices fails, and each operation that would
make the program wait for a GPU is counted, or is an error while waits are forbidden. It has no branch for CUDA alone:
pinned memory, `torch.cuda.set_device`, CUDA's random states.

Use it in a separate process only (`install`): a device type is registered once and permanently.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.utils import backend_registration
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten

NAME = "simulated"
SETUP = "_setup_privateuseone_for_python_backend"
AVAILABLE = hasattr(backend_registration, SETUP)
"""True if torch can register a device that is written in Python."""
BACKING = [torch.device("cpu")]
"""Device that holds the values; on `meta` there are none, and operations only count."""
UNAVAILABLE = f"torch {torch.__version__} cannot register a device that is written in Python; 2.15 can"
aten = torch.ops.aten
_COPIES = (aten.copy_.default, aten._copy_from.default, aten._to_copy.default)
_INDEXING = (aten.index.Tensor, aten.index_put.default, aten.index_put_.default, aten._index_put_impl_.default)
_NEEDS_VALUES = (
    *(aten._local_scalar_dense.default, aten.nonzero.default, aten.masked_select.default, aten.equal.default),
    *(aten.is_nonzero.default, aten._unique2.default),
)
_IN_HALF = ("linear", "matmul", "mm", "bmm", "addmm", "baddbmm", "conv2d", "scaled_dot_product_attention")
_IN_FULL = ("layer_norm", "softmax.int", "log_softmax.int", "cross_entropy_loss", "binary_cross_entropy_with_logits")
_LIBRARIES: list[torch.library.Library] = []  # registered as long as these objects exist


class Misplaced(RuntimeError):
    """Operation on tensors of two devices."""


class Waited(RuntimeError):
    """Wait for the device while waits are forbidden."""


class Waits:
    """Waits of the program, and whether they are allowed at the moment."""

    allowed: ClassVar[bool] = True
    counted: ClassVar[Counter[str]] = Counter()

    @classmethod
    def note(cls, what: str) -> None:
        """Count a wait, or raise Waited."""
        if not cls.allowed:
            raise Waited(what)
        cls.counted[what] += 1

    @classmethod
    @contextmanager
    def set_allowed(cls, allowed: bool) -> Iterator[None]:
        """Allow or forbid waits in a block."""
        before, cls.allowed = cls.allowed, allowed
        try:
            yield
        finally:
            cls.allowed = before


class OnDevice(Tensor):
    """Tensor of the device, whose values are those of a tensor on the CPU (or of none, on torch's device `meta`)."""

    values: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, values: Tensor) -> OnDevice:
        made: OnDevice = torch.Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls,
            values.shape,
            strides=values.stride(),
            storage_offset=values.storage_offset(),
            dtype=values.dtype,
            layout=values.layout,
            device=device(),
        )
        made.values = values
        return made

    def __repr__(self, **_: Any) -> str:  # type: ignore[override]
        return f"OnDevice({self.values})"

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.values.__reduce_ex__(protocol)

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _compute(func, args, kwargs or {})


class _Dispatch(TorchDispatchMode):
    """Catches operations without an argument on the device: new tensors, and copies from the CPU."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        here = any(isinstance(value, OnDevice) for value in tree_flatten((args, kwargs))[0])
        return _compute(func, args, kwargs) if here or _is_simulated(kwargs.get("device")) else func(*args, **kwargs)


class _Backend:
    """Functions that torch requires of the module of a device."""

    generator = torch.Generator()

    def is_initialized(self) -> bool:
        return True

    def is_available(self) -> bool:
        return True

    def _is_in_bad_fork(self) -> bool:
        return False

    def current_device(self) -> int:
        return 0

    def device_count(self) -> int:
        return 1

    def set_device(self, _: Any) -> None: ...

    def synchronize(self, _: Any = None) -> None: ...

    def manual_seed_all(self, seed: int) -> None:
        self.generator.manual_seed(seed)

    manual_seed = manual_seed_all

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16]

    def get_rng_state(self, _: Any = None) -> Tensor:
        return self.generator.get_state()

    def set_rng_state(self, state: Tensor, _: Any = None) -> None:
        self.generator.set_state(state)


def device() -> torch.device:
    """Return the device."""
    return torch.device(NAME, 0)


def install(*, stop_at: int = 0) -> None:
    """Register the device in this process, and make every `--gpu` but `cpu` use it.

    From the second step of a training on, a wait within a step is an error. With `stop_at`, the process receives
    SIGTERM in that step, counted from 1.
    """
    getattr(backend_registration, SETUP)(NAME, backend_module=_Backend())
    _register_autocast()
    _register_creation()
    _Dispatch().__enter__()
    _use_in_svipctl(stop_at)


def _use_in_svipctl(stop_at: int) -> None:
    import svipctl.device
    from svipctl.training.step import Stepper

    choose, step, steps = svipctl.device.choose_device, Stepper.__call__, [0]

    def choose_device(gpu: str, local: int = 0) -> torch.device:
        return choose(gpu, local) if gpu == "cpu" else device()

    def counted(*arguments: Any, **named: Any) -> Tensor:
        steps[0] += 1
        if steps[0] == stop_at:
            os.kill(os.getpid(), signal.SIGTERM)
        with Waits.set_allowed(steps[0] == 1):
            return step(*arguments, **named)

    svipctl.device.choose_device = choose_device
    Stepper.__call__ = counted  # type: ignore[method-assign]


def _is_simulated(where: Any) -> bool:
    return where is not None and torch.device(where).type == NAME


def _compute(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Run an operation on the values; its result is on the device, unless it is a copy to the CPU or a number."""
    flat, structure = tree_flatten((args, kwargs))
    ours = [value for value in flat if isinstance(value, OnDevice)]
    others = [value for value in flat if isinstance(value, Tensor) and not isinstance(value, OnDevice)]
    wanted = kwargs.get("device")
    if ours and func not in _COPIES:
        _check_places(func, others)
    if ours and _needs_values(func, args):
        Waits.note(str(func))
    wrappers = {id(value.values): value for value in ours}

    def wrapped(value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        return wrappers[id(value)] if id(value) in wrappers else OnDevice(value)

    values, named = tree_unflatten([_unwrapped(value) for value in flat], structure)
    if func in (aten.copy_.default, aten._copy_from.default):
        target, source = args[:2] if func is aten.copy_.default else (args[1], args[0])
        _note_copy(source, isinstance(target, OnDevice), args[2] if len(args) > 2 else kwargs.get("non_blocking"))
        _unwrapped(target).copy_(_unwrapped(source))
        return target
    result = func(*values, **named)
    if func is aten._to_copy.default:
        here = _is_simulated(wanted) or (wanted is None and bool(ours))
        _note_copy(args[0], here, kwargs.get("non_blocking"))
        return OnDevice(result) if here else result
    return tree_map(wrapped, result) if ours or _is_simulated(wanted) else result


def _unwrapped(value: Any) -> Any:
    if isinstance(value, OnDevice):
        return value.values
    return BACKING[0] if isinstance(value, torch.device) and value.type == NAME else value


def _check_places(func: Any, others: list[Tensor]) -> None:
    """Raise Misplaced for a tensor on the CPU; as on CUDA, a scalar is allowed, and an index, which is then a copy."""
    if misplaced := [tuple(value.shape) for value in others if value.dim()]:
        if func not in _INDEXING:
            raise Misplaced(f"{func} got tensors {misplaced} on the CPU")
        Waits.note(f"{func} by an index on the CPU")


def _needs_values(func: Any, args: Any) -> bool:
    """Return whether the result's size or the result itself is only known once the device is done."""
    if func is not aten.index.Tensor:
        return func in _NEEDS_VALUES
    return any(index is not None and index.dtype in (torch.bool, torch.uint8) for index in args[1])


def _note_copy(source: Tensor, to_device: bool, non_blocking: bool | None) -> None:
    """Count a copy between the devices that the program waits for: all to the CPU, and blocking ones to the device."""
    from_device = isinstance(source, OnDevice)
    if from_device != to_device and (from_device or not non_blocking):
        Waits.note(f"copy of {tuple(source.shape)} {'to the CPU' if from_device else 'to the device'}")


def _register_autocast() -> None:
    """Register autocast as CUDA does it, for the operations of a Vision Transformer."""
    library = torch.library.Library("aten", "IMPL", "AutocastPrivateUse1")
    excluded = torch._C.DispatchKeySet(torch._C.DispatchKey.AutocastPrivateUse1)

    def kernel(run: Any, half: bool, *args: Any, **kwargs: Any) -> Any:
        dtype = torch.get_autocast_dtype(NAME) if half else torch.float32

        def cast(value: Any) -> Any:
            floats = isinstance(value, Tensor) and value.is_floating_point() and value.dtype != torch.float64
            return value.to(dtype) if floats and value.device.type == NAME else value

        with torch._C._ExcludeDispatchKeyGuard(excluded):
            return run(*tree_map(cast, args), **tree_map(cast, kwargs))

    for names, half in ((_IN_HALF, True), (_IN_FULL, False)):
        for name in names:
            operation, _, overload = name.partition(".")
            run = getattr(getattr(aten, operation), overload or "default")
            library.impl(name, partial(kernel, run, half))
    rest = torch.library.Library("_", "IMPL")
    rest.fallback(torch.library.fallthrough_kernel, "AutocastPrivateUse1")
    _LIBRARIES.extend([library, rest])


def _register_creation() -> None:
    """Register functions that torch calls below any dispatch mode."""

    def empty(size: Any, *, dtype: Any = None, **_: Any) -> Tensor:
        return OnDevice(torch.empty(size, dtype=dtype or torch.get_default_dtype(), device=BACKING[0]))

    def empty_strided(size: Any, stride: Any, *, dtype: Any = None, **_: Any) -> Tensor:
        return OnDevice(torch.empty_strided(size, stride, dtype=dtype or torch.get_default_dtype(), device=BACKING[0]))

    def copy_from(source: Tensor, target: Tensor, non_blocking: bool = False) -> Tensor:
        _note_copy(source, isinstance(target, OnDevice), non_blocking)
        with torch._C._DisableTorchDispatch():  # type: ignore[attr-defined]
            _unwrapped(target).copy_(_unwrapped(source))
        return target

    library = torch.library.Library("aten", "IMPL", "PrivateUse1")
    kernels: dict[str, Callable[..., Tensor]] = {
        "empty.memory_format": empty,
        "empty_strided": empty_strided,
        "_copy_from": copy_from,
    }
    for name, kernel in kernels.items():
        library.impl(name, kernel)
    _LIBRARIES.append(library)
