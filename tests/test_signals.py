"""Signals are noted while somebody listens, and mean what they always mean before and after."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from svipctl.errors import Interrupted, InterruptedByHand
from svipctl.signals import Signalled, Stop, listening, raising

NOTED = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGINT)


@pytest.mark.parametrize("name", NOTED)
def test_a_signal_is_noted_and_ends_the_work_when_it_is_asked_about(name: signal.Signals) -> None:
    before = [signal.getsignal(one) for one in NOTED]
    with listening() as stop:
        assert not stop
        os.kill(os.getpid(), name)
        assert (stop.received, stop.number) == (name, int(name))
        expected = InterruptedByHand if name is signal.SIGINT else Interrupted
        with pytest.raises(expected):
            stop.raise_if_asked()
    assert [signal.getsignal(one) for one in NOTED] == before


def test_a_second_ctrl_c_does_not_wait() -> None:
    with listening() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_after_sigterm_still_waits_once() -> None:
    with listening() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.received is signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_another_thread_cannot_listen_and_is_not_disturbed() -> None:
    heard: list[Stop] = []

    def work() -> None:
        with listening() as stop:
            stop.raise_if_asked()
            heard.append(stop)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert [bool(stop) for stop in heard] == [False]


@pytest.mark.parametrize("name", NOTED[:3])
def test_a_signal_that_nobody_listens_for_is_raised_where_the_program_stands(name: signal.Signals) -> None:
    before = [signal.getsignal(one) for one in NOTED]
    with raising():
        with pytest.raises(Signalled) as told:
            os.kill(os.getpid(), name)
        assert told.value.received is name
        with listening() as stop:
            os.kill(os.getpid(), name)
            assert stop.received is name
        with pytest.raises(Signalled):
            os.kill(os.getpid(), name)
    assert [signal.getsignal(one) for one in NOTED] == before
