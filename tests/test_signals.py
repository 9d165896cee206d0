"""Signals are noted while somebody listens, and mean what they always mean before and after."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from svipctl.errors import Interrupted, InterruptedByHand
from svipctl.signals import SIGNALS, Signalled, Stop, deferred_signals, listening, raise_signals


@pytest.fixture(autouse=True)
def _handlers_as_before() -> Iterator[None]:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # ignored where the tests run under nohup, which is respected
    before, hook = {one: signal.getsignal(one) for one in SIGNALS}, sys.unraisablehook
    yield
    sys.unraisablehook = hook
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("name", SIGNALS)
def test_a_signal_is_noted_and_ends_the_work_when_it_is_asked_about(name: signal.Signals) -> None:
    before = [signal.getsignal(one) for one in SIGNALS]
    with listening() as stop:
        assert not stop
        os.kill(os.getpid(), name)
        assert (stop.received, stop.number) == (name, int(name))
        expected = InterruptedByHand if name is signal.SIGINT else Interrupted
        with pytest.raises(expected):
            stop.raise_if_asked()
    assert [signal.getsignal(one) for one in SIGNALS] == before


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


@pytest.mark.parametrize("name", SIGNALS)
def test_a_signal_that_nobody_listens_for_is_raised_where_the_program_is(name: signal.Signals) -> None:
    heard = raise_signals()
    with listening() as stop:
        os.kill(os.getpid(), name)
        assert stop.received is name
    assert not heard
    with pytest.raises(Signalled) as told:
        os.kill(os.getpid(), name)
    assert told.value.received is heard.received is name


def test_a_signal_that_is_sent_to_the_process_and_to_its_group_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("svipctl.signals.time.monotonic", lambda: now[0])
    raise_signals()
    with pytest.raises(Signalled):
        os.kill(os.getpid(), signal.SIGTERM)
    now[0] = 0.5
    os.kill(os.getpid(), signal.SIGTERM)
    now[0] = 2.0
    with pytest.raises(Signalled):
        os.kill(os.getpid(), signal.SIGTERM)


def test_a_signal_that_a_destructor_swallows_is_sent_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Timer:
        daemon = False

        def __init__(self, seconds: float, function: Callable[..., object], arguments: tuple[object, ...]) -> None:
            later.append((function, arguments))

        def start(self) -> None:
            assert self.daemon  # a program that ends does not wait for it

    class Swallows:
        def __del__(self) -> None:
            os.kill(os.getpid(), signal.SIGTERM)

    later: list[tuple[Callable[..., object], tuple[object, ...]]] = []
    monkeypatch.setattr("svipctl.signals.Timer", Timer)
    heard = raise_signals()
    Swallows()
    assert heard.received is signal.SIGTERM
    assert later == [(os.kill, (os.getpid(), signal.SIGTERM))]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", SIGNALS)
def test_signals_wait_until_a_short_piece_of_work_is_over(name: signal.Signals) -> None:
    raise_signals()
    done = []

    def work() -> None:
        with deferred_signals():
            os.kill(os.getpid(), name)
            done.append("all of it")

    with pytest.raises(Signalled) as told:
        work()
    assert done == ["all of it"]
    assert told.value.received is name


def test_nohup_stays_deaf_to_the_end_of_the_terminal() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    raise_signals()
    with listening() as stop, deferred_signals():
        os.kill(os.getpid(), signal.SIGHUP)
    assert not stop
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
