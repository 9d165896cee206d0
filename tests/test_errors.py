"""Test that every error of the operating system becomes a SvipError with an exit code."""

from __future__ import annotations

import errno
import os
import pickle

import pytest

from svipctl.errors import (
    FULL,
    DataError,
    ExitCode,
    Interrupted,
    SvipError,
    explained_damage,
    explained_disk_errors,
    system_error,
)

OF_RESOURCES = (*FULL, errno.EMFILE, errno.ENFILE, errno.ENOMEM)


@pytest.mark.parametrize("number", sorted(errno.errorcode), ids=errno.errorcode.__getitem__)
@pytest.mark.parametrize("verb", ["read", "write"])
def test_every_error_number_names_the_file_and_has_its_exit_code(number: int, verb: str) -> None:
    found = system_error(OSError(number, os.strerror(number)), "place/file", verb)  # type: ignore[arg-type]
    assert "place/file" in found.what
    assert os.strerror(number) in found.why
    usage = verb == "write" or number == errno.ENAMETOOLONG
    expected = ExitCode.RESOURCES if number in OF_RESOURCES else ExitCode.USAGE if usage else ExitCode.DATA
    assert found.exit_code == expected


@pytest.mark.parametrize("number", sorted({*errno.errorcode} - {errno.EPIPE, errno.ESHUTDOWN}))
def test_every_system_error_during_a_write_becomes_a_svip_error(number: int) -> None:
    with pytest.raises(SvipError, match="the run x"), explained_disk_errors("the run x"):
        raise OSError(number, os.strerror(number))


def test_a_broken_pipe_and_the_error_of_a_library_are_not_converted() -> None:
    for error in (BrokenPipeError(errno.EPIPE, "Broken pipe"), OSError("truncated image")):
        with pytest.raises(OSError) as caught, explained_disk_errors("the run x"):
            raise error
        assert caught.value is error


ALLOCATOR = RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried")


@pytest.mark.parametrize(
    "error",
    [MemoryError(), ALLOCATOR, BrokenPipeError(errno.EPIPE, "Broken pipe"), Interrupted("stopped")],
    ids=["memory", "memory of torch", "reader of the output", "interruption"],
)
@pytest.mark.parametrize("kinds", [(), (RuntimeError, OSError)])
def test_an_error_of_the_machine_keeps_its_type(error: Exception, kinds: tuple[type[Exception], ...]) -> None:
    with pytest.raises(type(error)) as caught, explained_damage("the file", "is damaged", *kinds):
        raise error
    assert caught.value is error


@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES, errno.ENOMEM, errno.ESTALE])
@pytest.mark.parametrize("kinds", [(), (OSError,), (ValueError,)])
def test_an_error_of_the_system_is_not_called_damage(number: int, kinds: tuple[type[Exception], ...]) -> None:
    with pytest.raises(SvipError) as caught, explained_damage("the file", "is damaged", *kinds):
        raise OSError(number, os.strerror(number))
    assert caught.value.what == system_error(OSError(number, "x"), "the file").what


@pytest.mark.parametrize(
    "error",
    [
        *(ValueError("bad"), EOFError(), OSError(errno.EINVAL, "seek"), OSError("not gzip")),
        *(pickle.UnpicklingError("evil.out_of_memory is refused"), KeyError("out of memory")),  # a file's own words
    ],
)
def test_what_a_reader_raises_for_a_damaged_file_is_called_damage(error: Exception) -> None:
    with pytest.raises(DataError, match="the file is damaged"), explained_damage("the file", "is damaged"):
        raise error


def test_only_the_named_exceptions_are_called_damage() -> None:
    with pytest.raises(KeyError), explained_damage("the file", "is damaged", ValueError):
        raise KeyError
