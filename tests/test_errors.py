"""Everything that the operating system says is an error of ours with an exit code."""

from __future__ import annotations

import errno
import os

import pytest

from svipctl.errors import FULL, ExitCode, SvipError, explained_disk_errors, system_error

OF_RESOURCES = (*FULL, errno.EMFILE, errno.ENFILE, errno.ENOMEM)


@pytest.mark.parametrize("number", sorted(errno.errorcode), ids=errno.errorcode.__getitem__)
@pytest.mark.parametrize("verb", ["read", "write"])
def test_every_error_number_names_the_file_and_has_a_code_of_ours(number: int, verb: str) -> None:
    found = system_error(OSError(number, os.strerror(number)), "place/file", verb)  # type: ignore[arg-type]
    assert "place/file" in found.what
    assert os.strerror(number) in found.why
    usage = verb == "write" or number == errno.ENAMETOOLONG
    expected = ExitCode.RESOURCES if number in OF_RESOURCES else ExitCode.USAGE if usage else ExitCode.DATA
    assert found.exit_code == expected


@pytest.mark.parametrize("number", sorted({*errno.errorcode} - {errno.EPIPE, errno.ESHUTDOWN}))
def test_whatever_the_system_says_while_something_is_written_is_an_error_of_ours(number: int) -> None:
    with pytest.raises(SvipError, match="the run x"), explained_disk_errors("the run x"):
        raise OSError(number, os.strerror(number))


def test_a_reader_that_is_gone_and_the_error_of_a_library_pass() -> None:
    for error in (BrokenPipeError(errno.EPIPE, "Broken pipe"), OSError("truncated image")):
        with pytest.raises(OSError) as caught, explained_disk_errors("the run x"):
            raise error
        assert caught.value is error
