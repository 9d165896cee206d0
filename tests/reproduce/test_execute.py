"""Test running a plan: skipping, resuming, failures, stopping, and kills at any moment."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from svipctl.errors import ConfigError, Interrupted, ResourceError
from svipctl.files import file_lock
from svipctl.reproduce.execute import execute, left_to_do, one_at_a_time, remaining_seconds
from svipctl.reproduce.run_results import collect_results
from svipctl.reproduce.step_state import StepState, run_of, states
from svipctl.reproduce.table_document import table_document
from svipctl.reproduce.table_plan import StepKind, TablePlan
from svipctl.reproduce.table_report import write_report
from svipctl.signals import Stop
from tests.processes import FORKS
from tests.reproduce.cases import Recorder, Writer, evaluation, final_runs, plan_of
from tests.runs.made import rewrite

LEFT: tuple[StepKind, ...] = ("final", "final", "evaluation")


def short() -> TablePlan:
    return plan_of(Path("runs"), controls="none", recipes=["reference"])


def report_of(folder: Path) -> dict[str, bytes]:
    plan = short()
    write_report(table_document(plan, collect_results(plan)), folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run tests in a temporary folder, so that names in reports are relative and equal."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_plan_is_run_once() -> None:
    plan, writer = plan_of(Path("runs")), Writer()
    assert execute(plan, writer, Path("logs"), Recorder()) == []
    assert writer.ran == [step.arguments for step in plan.steps]
    assert set(states(plan).values()) == {StepState.DONE}
    again = Writer()
    assert execute(plan, again, Path("logs"), Recorder()) == []
    assert again.ran == []
    assert left_to_do(plan) == []


def test_several_jobs_never_start_before_what_they_need() -> None:
    plan, writer = plan_of(Path("runs"), seeds=3), Writer(jobs=4)
    recorder = Recorder()
    execute(plan, writer, Path("logs"), recorder)
    words = {step.key: f"{step.kind} {step.run}" for step in plan.steps}
    events = [note.partition("] ")[2].partition(" in ")[0] or note for note in recorder.notes]
    for step in plan.steps:
        for need in step.needs:
            assert events.index(f"{words[need]}: done") < events.index(f"starting: {words[step.key]}")


def test_jobs_run_in_parallel_up_to_the_requested_number() -> None:
    plan = plan_of(Path("runs"), seeds=3)
    meeting = threading.Barrier(2, timeout=60)
    guard, inside, most = threading.Lock(), [0], [0]

    class Pairs(Writer):
        def run(self, step, log):  # type: ignore[no-untyped-def]
            with guard:
                inside[0] += 1
                most[0] = max(most[0], inside[0])
            if step.kind == "development":  # two recipes: both must run at the same time to continue
                meeting.wait()
            try:
                return super().run(step, log)
            finally:
                with guard:
                    inside[0] -= 1

    plan = plan_of(Path("runs"), controls="none", baselines=[])
    execute(plan, Pairs(jobs=2), Path("logs"), Recorder())
    assert most[0] == 2


def test_a_failure_skips_only_the_steps_that_need_it() -> None:
    plan, writer = plan_of(Path("runs")), Writer()
    broken = "train table-svipctl-sel-random-fold1"
    writer.fails = {broken}
    failed = execute(plan, writer, Path("logs"), Recorder())
    of_row = {step.key for step in plan.steps if (step.recipe, step.row) == ("svipctl", "sel-random")}
    assert {one.step.key for one in failed} == of_row
    assert [(one.step.key, one.code) for one in failed if one.code != -1] == [(broken, 3)]
    assert {key for key, state in states(plan).items() if state is StepState.DONE} == {
        step.key for step in plan.steps
    } - of_row
    assert execute(plan, Writer(), Path("logs"), Recorder()) == []  # without the fault the rest is done


def test_an_unfinished_training_is_resumed_and_a_trained_run_is_only_evaluated() -> None:
    plan = plan_of(Path("runs"), controls="none", recipes=["svipctl"], seeds=1, baselines=[])
    execute(plan, Writer(), Path("logs"), Recorder())
    development, final, evaluation = plan.steps
    (run_of(final).folder / "eval" / "metrics.json").unlink()
    (run_of(development).folder / "finished.json").unlink()
    assert left_to_do(plan) == [(*development.arguments, "--resume", development.run), evaluation.arguments]
    writer, recorder = Writer(), Recorder()
    execute(plan, writer, Path("logs"), recorder)
    assert writer.ran == [(*development.arguments, "--resume", development.run), evaluation.arguments]
    assert f"resuming: development {development.run}" in recorder.notes


def test_the_time_is_unknown_until_every_kind_has_been_measured() -> None:
    assert remaining_seconds(LEFT, {}, jobs=1) is None
    assert remaining_seconds(LEFT, {"development": [100.0]}, jobs=1) is None  # no evaluation has ended yet
    assert remaining_seconds(LEFT, {"final": [100.0], "evaluation": []}, jobs=1) is None
    assert remaining_seconds([], {}, jobs=1) == 0


def test_the_remaining_time_uses_the_mean_per_kind_and_at_first_the_development_runs_for_final_runs() -> None:
    measured: dict[StepKind, list[float]] = {"development": [100.0], "evaluation": [8.0, 12.0]}
    assert remaining_seconds(LEFT, measured, jobs=2) == (2 * 100 + 10) / 2
    assert remaining_seconds(LEFT[1:], measured | {"final": [60.0]}, jobs=2) == (60 + 10) / 2


def test_the_time_left_is_not_estimated_from_failed_and_resumed_steps() -> None:
    plan, writer, recorder = plan_of(Path("runs"), recipes=[], baselines=["ridge", "sae"]), Writer(), Recorder()
    writer.fails = {plan.steps[0].key}
    execute(plan, writer, Path("logs"), recorder)
    assert [end.endswith(" left") for end in recorder.ends] == [False, False]
    plan = plan_of(Path("runs"), controls="none", recipes=["svipctl"], seeds=2, baselines=[])
    execute(plan, Writer(), Path("logs"), Recorder())
    for step in final_runs(plan, "svipctl", "full"):
        (run_of(step).folder / "finished.json").unlink()
    execute(plan, Writer(), Path("logs"), recorder := Recorder())
    final, evaluated, *_ = recorder.ends
    assert not final.endswith(" left")  # the other final run and its evaluation are left
    assert not evaluated.endswith(" left")


def test_figures_of_an_earlier_epoch_are_not_taken_for_those_of_the_run() -> None:
    plan = plan_of(Path("runs"), controls="none", recipes=["svipctl"], seeds=1, baselines=[])
    execute(plan, Writer(), Path("logs"), Recorder())
    _, final, step = plan.steps
    looked_at = run_of(final)  # by `svipctl eval --run` while it was unfinished
    looked_at.save_json("eval/metrics.json", {**evaluation(final.run), "epoch": 1})
    (looked_at.folder / "finished.json").unlink()
    (row,) = collect_results(plan)
    assert (row.results, row.missing) == ((), (final.run,))
    execute(plan, writer := Writer(), Path("logs"), Recorder())
    assert writer.ran == [(*final.arguments, "--resume", final.run), step.arguments]
    assert json.loads((run_of(final).folder / "eval" / "metrics.json").read_text()) == evaluation(final.run)


@pytest.mark.parametrize("other", [{"bootstrap": 0}, {"selection": False}, {"precision": "bf16"}])
def test_figures_with_other_settings_than_the_tables_are_computed_again(other: dict[str, object]) -> None:
    plan = plan_of(Path("runs"), controls="none", recipes=["svipctl"], seeds=1, baselines=[], precision="fp32")
    execute(plan, Writer(), Path("logs"), Recorder())
    step = plan.steps[-1]
    as_asked = {"precision": "fp32", "bootstrap": 1000, "selection": True}
    run_of(step).save_json("eval/metrics.json", {**evaluation(step.run), "settings": as_asked})
    assert left_to_do(plan) == []
    run_of(step).save_json("eval/metrics.json", {**evaluation(step.run), "settings": as_asked | other})
    assert left_to_do(plan) == [step.arguments]


def test_an_error_while_a_note_is_shown_stops_the_running_commands() -> None:
    plan = plan_of(Path("runs"), controls="none", recipes=["svipctl"], seeds=1, baselines=[])

    def broken(note: str) -> None:
        if note.startswith("["):
            raise ResourceError("no space left")

    writer = Writer()
    with pytest.raises(ResourceError):
        execute(plan, writer, Path("logs"), broken)
    assert writer.stopped_by == signal.SIGTERM
    assert len(writer.ran) == 1


def test_a_folder_without_a_checkpoint_is_started_from_scratch() -> None:
    plan = plan_of(Path("runs"), controls="none", recipes=["svipctl"], seeds=1, baselines=["ridge"])
    for step in plan.steps[:2]:
        run_of(step).folder.mkdir(parents=True)
        (run_of(step).folder / "remains").write_text("of a run that was killed at once")
    assert execute(plan, Writer(), Path("logs"), Recorder()) == []
    assert not (run_of(plan.steps[0]).folder / "remains").exists()


def test_a_run_of_another_configuration_is_reported_with_the_differences_and_unchanged() -> None:
    execute(plan_of(Path("runs"), optim__lr=0.5), Writer(), Path("logs"), Recorder())
    other = plan_of(Path("runs"))
    writer = Writer()
    with pytest.raises(ConfigError) as caught:
        execute(other, writer, Path("logs"), Recorder())
    assert "table-svipctl-full-fold1: optim.lr: 0.5 in the run, 0.001 now" in caught.value.why
    assert writer.ran == []


def test_a_run_of_another_class_table_is_refused(small_folder: Path) -> None:
    plan = plan_of(Path("runs"), dataset=str(small_folder), controls="none", recipes=["reference"])
    execute(plan, Writer(), Path("logs"), Recorder())
    table = small_folder / "attributes.csv"
    table.write_text(table.read_text().replace(",1,", ",0.9,"))
    with pytest.raises(ConfigError) as caught:
        states(plan)
    assert "table-reference-full-seed0: attributes.csv: SHA-256" in caught.value.why


def test_a_final_run_from_other_development_runs_is_refused() -> None:
    execute(plan_of(Path("runs"), controls="none"), Writer(), Path("logs"), Recorder())
    with pytest.raises(ConfigError) as caught:
        states(plan_of(Path("runs"), controls="none", folds=2))
    assert "development runs: ['table-svipctl-full-fold1'] in the run" in caught.value.why


def test_a_signal_is_passed_on_and_no_further_step_starts() -> None:
    plan, stop = plan_of(Path("runs")), Stop()

    class Stopped(Writer):
        def run(self, step, log):  # type: ignore[no-untyped-def]
            if len(self.ran) == 3:
                stop.received = signal.SIGTERM
                return 75
            return super().run(step, log)

    writer = Stopped()
    with pytest.raises(Interrupted):
        execute(plan, writer, Path("logs"), Recorder(), stop)
    assert len(writer.ran) == 3
    assert execute(plan, Writer(), Path("logs"), Recorder()) == []


def _until(folder: Path, moment: int) -> None:
    """In a separate process: run the plan, and be killed after the given number of files."""
    os.chdir(folder)
    count = [0]

    def after(what: str) -> None:
        count[0] += 1
        if count[0] == moment:
            os.kill(os.getpid(), signal.SIGKILL)

    plan = short()
    execute(plan, Writer(after=after), Path("logs"), Recorder())
    os._exit(0)


@pytest.mark.parametrize("apart", [pytest.param(2, marks=pytest.mark.slow), 7])
def test_a_plan_killed_at_any_moment_and_restarted_ends_with_the_same_report(tmp_path: Path, apart: int) -> None:
    execute(short(), Writer(), Path("logs"), Recorder())
    expected = report_of(tmp_path / "undisturbed")
    moments = [0]
    Path("runs").rename("first")
    execute(short(), Writer(after=lambda what: moments.__setitem__(0, moments[0] + 1)), Path("logs"), Recorder())
    assert report_of(tmp_path / "again") == expected
    assert moments[0] > 15
    for moment in range(1, moments[0] + 1, apart):
        Path("runs").rename(f"before-{moment}")
        process = FORKS.Process(target=_until, args=(tmp_path, moment))
        process.start()
        process.join(120)
        assert process.exitcode == -signal.SIGKILL
        assert execute(short(), Writer(), Path("logs"), Recorder()) == []
        assert report_of(tmp_path / f"after-{moment}") == expected


def test_a_second_reproduce_waits_until_the_first_and_its_commands_have_ended() -> None:
    said: list[str] = []
    with one_at_a_time(Path("runs", "toybirds"), said.append) as lock:
        assert said == []
        # A command that outlives reproduce: it inherits the lock.
        command = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"], pass_fds=[lock])
    entered = threading.Event()

    def second() -> None:
        def say(text: str) -> None:
            said.append(text)
            command.kill()

        with one_at_a_time(Path("runs", "toybirds"), say):
            entered.set()

    thread = threading.Thread(target=second)
    thread.start()
    thread.join(60)
    command.wait()
    assert entered.is_set()
    assert len(said) == 1
    assert said[0].startswith("waiting")


def test_a_run_that_another_process_is_training_is_not_touched() -> None:
    plan = plan_of(Path("runs"), controls="none", recipes=["svipctl"], seeds=1)
    development = plan.steps[1]
    run_of(development).folder.mkdir(parents=True)
    with file_lock(run_of(development).folder):
        failed = execute(plan, Writer(), Path("logs"), Recorder())
    assert [(one.step.key, one.code) for one in failed] == [
        (development.key, 2),
        *((s.key, -1) for s in plan.steps[2:]),
    ]
    assert run_of(development).folder.exists()
    assert "is being trained by another process" in Path("logs", f"{development.run}.log").read_text()
    assert execute(plan, Writer(), Path("logs"), Recorder()) == []


def test_a_baseline_does_not_depend_on_training_settings() -> None:
    execute(plan_of(Path("runs"), controls="none", recipes=[]), Writer(), Path("logs"), Recorder())
    assert set(states(plan_of(Path("runs"), controls="none", recipes=[], optim__lr=0.5)).values()) == {StepState.DONE}
    with pytest.raises(ConfigError, match="another configuration"):
        states(plan_of(Path("runs"), controls="none", recipes=[], model__backbone="vit_tiny"))


def test_a_final_run_that_monitors_validation_equals_one_that_monitors_nothing() -> None:
    plan = plan_of(Path("runs"), controls="none", baselines=[])
    execute(plan, Writer(), Path("logs"), Recorder())
    for recipe, fits in (("svipctl", True), ("reference", False)):
        path = run_of(final_runs(plan, recipe, "full")[0]).folder / "config.toml"
        text = path.read_text()
        monitor = "none" if recipe == "svipctl" else "test"
        assert f'monitor = "{monitor}"' in text
        rewrite(path, text.replace(f'monitor = "{monitor}"', 'monitor = "validation"' if fits else 'monitor = "none"'))
        if fits:
            assert set(states(plan).values()) == {StepState.DONE}
        else:
            with pytest.raises(ConfigError, match="another configuration"):
                states(plan)
