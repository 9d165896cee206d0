"""Test that signals are recorded while a listener is active, and have their default effect before and after."""

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
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # ignored when the tests run under nohup, which is respected
    before, hook = {one: signal.getsignal(one) for one in SIGNALS}, sys.unraisablehook
    yield
    sys.unraisablehook = hook
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("name", SIGNALS)
def test_a_signal_is_recorded_and_ends_the_work_at_the_next_check(name: signal.Signals) -> None:
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


def test_listening_in_another_thread_has_no_effect() -> None:
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
def test_a_signal_without_a_listener_is_raised_in_the_main_program(name: signal.Signals) -> None:
    heard = raise_signals()
    with listening() as stop:
        os.kill(os.getpid(), name)
        assert stop.received is name
    assert not heard
    with pytest.raises(Signalled) as told:
        os.kill(os.getpid(), name)
    assert told.value.received is heard.received is name


def test_a_signal_sent_to_the_process_and_to_its_group_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
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


def _in_another_thread(name: signal.Signals) -> None:
    def unblock_and_raise() -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (name,))  # a new thread inherits them blocked
        signal.raise_signal(name)

    thread = threading.Thread(target=unblock_and_raise)
    thread.start()
    thread.join()


@pytest.mark.parametrize("send", [signal.raise_signal, _in_another_thread])
@pytest.mark.parametrize("name", SIGNALS)
def test_signals_are_deferred_until_a_short_piece_of_work_is_done(
    name: signal.Signals, send: Callable[[signal.Signals], None]
) -> None:
    # Not by `os.kill`: the system would choose a thread, and that thread may handle the signal only after the block.
    raise_signals()
    done = []

    def work() -> None:
        with deferred_signals():
            send(name)
            done.append("all of it")

    with pytest.raises(Signalled) as told:
        work()
    assert done == ["all of it"]
    assert told.value.received is name
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == set()


def test_under_nohup_sighup_is_still_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    raise_signals()
    with listening() as stop, deferred_signals():
        os.kill(os.getpid(), signal.SIGHUP)
    assert not stop
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
