"""The conformance kit finds each of many backends that are wrong in one place, by the checks named for it."""

from __future__ import annotations

import inspect
import signal
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, cast

import pytest

from vmharness.testing import checks
from wrong_backends import (
    Kind,
    WrongContract,
    capabilities,
    copies,
    create,
    deletes,
    hidden,
    interface,
    labels,
    verbs,
)
from wrong_backends.right import Right, RightUnlabelled

ALL: Final = frozenset(check.name.removeprefix("test_") for check in checks())
# What neither the right backend nor most of the wrong ones can do.
UNABLE: Final = frozenset(
    {"rank_is_a_number", "shown_command_deletes_the_machine", "foreign_commands_are_no_creates"}
    | {"fronts_have_readers"}
)
UNLABELLED: Final = frozenset(
    {"unlabelled_engines_know_the_time_of_creation", "unlabelled_engines_list_no_labels"}
)
LABELLED: Final = frozenset(
    {
        "labelled_engines_know_the_time_of_creation",
        "labels_are_listed_with_the_machine",
        "labels_are_there_from_the_start",
        "label_length_is_of_use",
        "unlabelled_machines_of_a_labelled_engine_have_none",
        "a_clone_has_its_own_labels",
    }
)

WRONG: Final[Mapping[Kind, str]] = {
    create.Early: """
        machine_runs_when_create_returns
        list_has_stopped_machines
        run_gives_what_was_written
        run_gives_the_exit_status
        run_tells_stderr_from_stdout
        run_uses_no_shell
        run_hands_over_its_input
        run_takes_a_user
        run_takes_a_folder
        run_ends_at_its_deadline
        machine_is_stopped_when_stop_returns
        machine_runs_when_start_returns
        start_may_be_repeated
        a_clone_runs
        a_machine_stays_what_it_is
        no_other_machine_starts_or_stops
        run_hands_over_much
    """,
    create.Understating: "create_returns_what_it_made a_clone_runs",
    create.Qualifying: """
        create_returns_what_it_made
        create_of_a_taken_name_leaves_the_other_machine_alone
        name_of_a_deleted_machine_is_free
        creates_at_once_make_what_each_asked_for
        a_clone_runs
        create_of_a_stopped_machines_name_leaves_it_alone
        no_other_machine_starts_or_stops
    """,
    create.Cutting: "made_up_names_fit hostile_names_make_nothing",
    create.Mending: "hostile_names_make_nothing",
    create.Blunt: "hostile_names_make_nothing",
    create.Adopting: """
        create_of_a_taken_name_leaves_the_other_machine_alone
        one_name_is_given_once
        a_clone_under_a_taken_name_is_refused
        create_of_a_stopped_machines_name_leaves_it_alone
    """,
    create.Replacing: """
        create_of_a_taken_name_leaves_the_other_machine_alone
        one_name_is_given_once
        create_is_no_success_because_nobody_answered
        create_that_asked_nobody_failed
        a_clone_under_a_taken_name_is_refused
        create_of_a_stopped_machines_name_leaves_it_alone
    """,
    create.Overwriting: """
        create_of_a_taken_name_leaves_the_other_machine_alone
        a_clone_under_a_taken_name_is_refused
        create_of_a_stopped_machines_name_leaves_it_alone
    """,
    create.Undecided: """
        create_of_a_taken_name_leaves_the_other_machine_alone
        a_clone_under_a_taken_name_is_refused
        create_of_a_stopped_machines_name_leaves_it_alone
    """,
    create.Jealous: "name_of_a_deleted_machine_is_free listings_beside_creates_and_deletes_are_complete",
    create.AnyImage: "create_of_an_unknown_image_makes_nothing",
    create.Leaking: "create_of_an_unknown_image_makes_nothing",
    create.Patient: "create_ends_at_its_deadline",
    create.LateToSay: "create_ends_at_its_deadline",
    create.Hasty: "create_that_is_late_is_no_success",
    create.Sure: "no_machine_comes_of_a_create_that_failed",
    create.Vague: "create_that_is_late_is_a_timeout",
    create.Bare: "create_that_is_late_is_unsettled create_that_is_late_is_a_timeout",
    create.Rising: """
        create_ends_at_its_deadline
        create_that_is_late_is_no_success
        create_that_is_late_is_unsettled
        create_that_is_late_is_a_timeout
        no_machine_comes_of_a_create_that_failed
        a_machine_that_comes_late_can_be_deleted
    """,
    labels.Milliseconds: "time_of_creation_is_that_of_the_create_call",
    labels.LocalTime: "time_of_creation_is_that_of_the_create_call",
    labels.Booted: "time_of_creation_is_that_of_the_create_call",
    labels.Timeless: "labelled_engines_know_the_time_of_creation",
    labels.TimelessUnlabelled: "unlabelled_engines_know_the_time_of_creation",
    labels.Unlabelling: """
        labels_are_listed_with_the_machine
        labels_are_there_from_the_start
        a_clone_has_its_own_labels
        creates_at_once_make_what_each_asked_for
    """,
    labels.CuttingLabels: "labels_are_listed_with_the_machine",
    labels.MendingLabels: "labels_are_listed_with_the_machine",
    labels.Boasting: "labels_are_listed_with_the_machine",
    labels.Curt: "label_length_is_of_use",
    labels.LabellingLater: "labels_are_there_from_the_start",
    labels.Staining: "unlabelled_machines_of_a_labelled_engine_have_none",
    labels.Emptying: "unlabelled_engines_list_no_labels",
    create.Unpicklable: "errors_pickle",
    create.Anonymous: "errors_say_what_they_are_about",
    create.Sharing: """
        creates_at_once_make_what_each_asked_for
        listings_beside_creates_and_deletes_are_complete
    """,
    create.Racing: "one_name_is_given_once",
    verbs.RunningOnly: """
        list_has_stopped_machines
        machine_is_stopped_when_stop_returns
        stop_may_be_repeated
        a_machine_stays_what_it_is
        no_other_machine_starts_or_stops
    """,
    verbs.OnlyMachinesOfOurs: """
        list_has_machines_without_labels_of_ours
        unlabelled_machines_of_a_labelled_engine_have_none
        a_clone_runs
        a_clone_has_its_own_labels
        a_clone_is_a_machine_of_its_own
    """,
    verbs.FirstPage: "creates_at_once_make_what_each_asked_for",
    verbs.Pages: "creates_at_once_make_what_each_asked_for",
    verbs.Twice: """
        list_has_stopped_machines
        machine_is_stopped_when_stop_returns
        stop_may_be_repeated
        a_machine_stays_what_it_is
        create_of_a_stopped_machines_name_leaves_it_alone
        no_other_machine_starts_or_stops
    """,
    verbs.Raw: """
        machine_runs_when_create_returns
        list_has_stopped_machines
        list_gives_values
        machine_is_stopped_when_stop_returns
        machine_runs_when_start_returns
        start_may_be_repeated
        a_clone_runs
        inspect_agrees_with_the_listing
        a_machine_stays_what_it_is
        no_other_machine_starts_or_stops
    """,
    verbs.Lazy: "list_gives_values",
    verbs.Moving: """
        create_of_a_taken_name_leaves_the_other_machine_alone
        list_changes_nothing
        the_source_is_left_as_it_was
        a_clone_under_a_taken_name_is_refused
        a_renamed_machine_is_as_it_was
        a_taken_name_is_not_given_again
        inspect_agrees_with_the_listing
        a_machine_stays_what_it_is
        create_of_a_stopped_machines_name_leaves_it_alone
    """,
    verbs.Forgiving: "list_is_never_empty_because_nobody_answered",
    verbs.Crude: "list_is_never_empty_because_nobody_answered",
    verbs.Remembering: "a_provider_keeps_no_state",
    verbs.PartialMeanwhile: "listings_beside_creates_and_deletes_are_complete",
    verbs.FalseOnError: "exists_is_never_false_because_nobody_answered",
    verbs.Optimist: """
        a_machine_that_never_was_is_absent
        a_deleted_machine_is_absent
        part_of_a_name_is_absent
        a_provider_keeps_no_state
    """,
    verbs.Fuzzy: "part_of_a_name_is_absent",
    verbs.Globbing: "hostile_names_are_absent part_of_a_name_is_absent",
    verbs.Picky: "hostile_names_are_absent part_of_a_name_is_absent",
    verbs.Asleep: "a_stopped_machine_exists",
    verbs.Nostalgic: "a_deleted_machine_is_absent a_provider_keeps_no_state",
    verbs.Blinking: "a_machine_that_is_there_exists",
    verbs.Numeric: "a_deleted_machine_is_absent a_stopped_machine_exists part_of_a_name_is_absent",
    deletes.Fussy: """
        look_alikes_are_left_alone
        delete_may_be_repeated
        delete_of_absent_machine_is_silent
        delete_of_hostile_names_is_silent
        deletes_at_once_delete_what_each_asked_for
    """,
    deletes.FussyAboutNames: "delete_of_hostile_names_is_silent look_alikes_are_left_alone",
    deletes.Impatient: """
        name_of_a_deleted_machine_is_free
        a_deleted_machine_is_absent
        deleted_machine_is_gone
        stopped_machine_can_be_deleted
        a_provider_keeps_no_state
        deletes_at_once_delete_what_each_asked_for
        listings_beside_creates_and_deletes_are_complete
        a_machine_that_comes_late_can_be_deleted
        delete_that_is_late_is_no_success
        a_clone_is_a_machine_of_its_own
    """,
    deletes.Lying: """
        name_of_a_deleted_machine_is_free
        a_deleted_machine_is_absent
        deleted_machine_is_gone
        stopped_machine_can_be_deleted
        a_provider_keeps_no_state
        listings_beside_creates_and_deletes_are_complete
        a_machine_that_comes_late_can_be_deleted
        delete_that_is_late_is_no_success
        a_clone_is_a_machine_of_its_own
    """,
    deletes.ByPrefix: "look_alikes_are_left_alone",
    deletes.ByPattern: "delete_of_hostile_names_deletes_nothing look_alikes_are_left_alone",
    deletes.ByOption: "delete_of_hostile_names_deletes_nothing",
    deletes.Neighbourly: "delete_deletes_no_other_machine a_clone_is_a_machine_of_its_own",
    deletes.RunningDeleted: "stopped_machine_can_be_deleted",
    deletes.PatientDelete: "delete_ends_at_its_deadline",
    deletes.HastyDelete: "delete_that_is_late_is_no_success",
    deletes.DeletedInTheDark: "delete_is_no_success_because_nobody_answered",
    deletes.CrudeDelete: "delete_is_no_success_because_nobody_answered",
    deletes.CrossedDeletes: """
        deletes_at_once_delete_what_each_asked_for
        listings_beside_creates_and_deletes_are_complete
    """,
    create.UnavailableCreate: "create_is_no_success_because_nobody_answered create_that_asked_nobody_failed",
    create.Dreaming: "create_is_no_success_because_nobody_answered create_that_asked_nobody_failed",
    verbs.Fickle: "endpoint_is_a_stable_text endpoint_opens_again endpoint_asks_nobody",
    verbs.Renamed: "endpoint_opens_again",
    verbs.Closed: """
        endpoint_opens_again
        endpoint_opens_the_same_engine
        a_provider_keeps_no_state
        endpoint_needs_no_environment
    """,
    verbs.Elsewhere: """
        endpoint_opens_the_same_engine
        a_provider_keeps_no_state
        endpoint_needs_no_environment
    """,
    verbs.Blank: "endpoint_is_a_stable_text",
    interface.Placeless: "provider_has_the_interface",
    interface.Misnaming: "provider_has_the_interface",
    interface.Narrow: "provider_has_the_interface",
    capabilities.AlwaysZero: "run_gives_the_exit_status run_of_an_unknown_program_fails",
    capabilities.Strict: "run_gives_the_exit_status run_tells_stderr_from_stdout",
    capabilities.Mixing: "run_tells_stderr_from_stdout",
    capabilities.Deaf: "run_tells_stderr_from_stdout",
    capabilities.Stripping: """
        run_gives_what_was_written
        run_uses_no_shell
        run_takes_a_user
        run_takes_a_folder
        run_hands_over_much
    """,
    capabilities.Unfed: "run_hands_over_its_input run_hands_over_much",
    capabilities.Shell: "run_uses_no_shell run_gives_the_exit_status",
    capabilities.AsSomebody: "run_takes_a_user",
    capabilities.AtHome: "run_takes_a_folder",
    capabilities.PatientRun: "run_ends_at_its_deadline",
    capabilities.Absent: "run_in_an_absent_machine_fails",
    capabilities.TextMode: "a_file_comes_back_as_it_went",
    capabilities.Appending: "a_file_that_is_there_is_replaced a_file_comes_back_as_it_went",
    capabilities.NothingFound: """
        pull_of_a_missing_file_fails
        a_clone_is_a_machine_of_its_own
        a_file_is_in_its_machine_alone
        pull_into_a_missing_folder_is_no_silent_failure
    """,
    capabilities.NothingSent: "push_of_a_missing_file_fails",
    capabilities.SentNowhere: "push_into_an_absent_machine_fails",
    capabilities.StopsOnce: "stop_may_be_repeated",
    capabilities.StartsOnce: "start_may_be_repeated",
    capabilities.Starting: "machine_runs_when_start_returns a_machine_stays_what_it_is",
    capabilities.StopsByDeleting: "stop_may_be_repeated",
    capabilities.StopsNothing: "absent_machines_neither_start_nor_stop",
    copies.SharingLabels: "a_clone_has_its_own_labels",
    copies.KeepingLabels: "a_clone_has_its_own_labels",
    copies.StoppedSource: "the_source_is_left_as_it_was",
    copies.EmptyClone: "a_clone_has_its_sources_files",
    copies.StoppedClone: "a_clone_runs",
    copies.Recloning: "a_clone_under_a_taken_name_is_refused",
    copies.UnsureClone: "a_clone_of_nothing_fails",
    copies.Copying: "a_renamed_machine_has_its_old_name_no_more",
    copies.Remaking: "a_renamed_machine_has_its_files",
    copies.Unlabelling: "a_renamed_machine_is_as_it_was",
    copies.StoppedForIt: "a_renamed_machine_is_as_it_was",
    copies.StoppedForNothing: "a_taken_name_is_not_given_again",
    copies.Ousting: "a_taken_name_is_not_given_again",
    copies.Renaming: "absent_machines_are_not_renamed a_taken_name_is_not_given_again",
    capabilities.Blind: """
        time_of_creation_is_that_of_the_create_call
        labelled_engines_know_the_time_of_creation
        inspect_agrees_with_the_listing
    """,
    capabilities.Differing: "inspect_agrees_with_the_listing",
    capabilities.InspectsByPrefix: "inspect_of_absent_machines_is_none",
    capabilities.InspectsOptions: "inspect_of_hostile_names_is_none",
    capabilities.Shortsighted: "inspect_is_never_none_because_nobody_answered",
    capabilities.Verbose: "engine_describes_itself",
    capabilities.Assuming: "describe_says_that_nobody_answered",
    capabilities.Nameless: "images_have_names",
    capabilities.Backwards: "settling_takes_a_while",
    capabilities.Ranked: "rank_is_a_number",
    capabilities.Suspicious: "foreign_commands_are_no_creates",
    capabilities.Unread: "fronts_have_readers",
    capabilities.DeletesAtOnce: "shown_command_deletes_the_machine",
    capabilities.Asking: "shown_command_deletes_the_machine",
    capabilities.Doing: "shown_command_deletes_the_machine",
    hidden.Expression: "look_alikes_are_left_alone part_of_a_name_is_absent",
    hidden.Glob: "look_alikes_are_left_alone part_of_a_name_is_absent",
    hidden.Several: "look_alikes_are_left_alone part_of_a_name_is_absent",
    hidden.Folding: "look_alikes_are_left_alone part_of_a_name_is_absent",
    hidden.Trimming: "look_alikes_are_left_alone part_of_a_name_is_absent",
    hidden.Slashing: "look_alikes_are_left_alone part_of_a_name_is_absent",
    hidden.Numbering: "look_alikes_are_left_alone part_of_a_name_is_absent",
    hidden.AsIfMine: "create_of_a_taken_name_leaves_the_other_machine_alone",
    hidden.Reviving: "create_of_a_stopped_machines_name_leaves_it_alone",
    hidden.Waking: "create_of_a_stopped_machines_name_leaves_it_alone",
    hidden.Forgetful: "create_returns_what_it_made",
    hidden.Crossing: "creates_at_once_make_what_each_asked_for",
    hidden.Greenwich: "time_of_creation_is_that_of_the_create_call",
    hidden.AsciiLabels: "labels_are_listed_with_the_machine",
    hidden.ThreeLabels: "labels_are_listed_with_the_machine",
    hidden.AtHome: "endpoint_needs_no_environment",
    hidden.Wandering: "endpoint_needs_no_environment",
    hidden.Moving: "the_process_is_left_as_it_was",
    hidden.Deafening: "the_process_is_left_as_it_was",
    hidden.Restarted: "a_machine_keeps_its_files",
    hidden.Reborn: "a_machine_stays_what_it_is",
    hidden.Unlit: "a_machine_stays_what_it_is",
    hidden.StopsAll: "no_other_machine_starts_or_stops",
    hidden.Linked: "a_clone_is_a_machine_of_its_own",
    hidden.Mirrored: "a_clone_is_a_machine_of_its_own",
    hidden.Wrapped: "run_gives_the_exit_status",
    hidden.Universal: "run_hands_over_much",
    hidden.Clipped: "run_hands_over_much",
    hidden.Sipping: "run_hands_over_much",
    hidden.Dropping: "run_uses_no_shell",
    hidden.Shared: "a_file_is_in_its_machine_alone a_clone_is_a_machine_of_its_own",
    hidden.Empty: "a_file_comes_back_as_it_went",
    hidden.Short: "a_file_comes_back_as_it_went",
    hidden.Mute: "pull_into_a_missing_folder_is_no_silent_failure",
}

# Checks that a wrong backend makes meaningless.
SKIPPED_TOO: Final[Mapping[Kind, str]] = {
    **dict.fromkeys((interface.Placeless, interface.Misnaming, interface.Narrow), " ".join(ALL)),
    create.Hasty: "create_that_is_late_is_unsettled create_that_is_late_is_a_timeout",
    create.Patient: "create_that_is_late_is_unsettled create_that_is_late_is_a_timeout",
    create.Sure: "create_that_is_late_is_a_timeout a_machine_that_comes_late_can_be_deleted",
    labels.Timeless: "time_of_creation_is_that_of_the_create_call",
    labels.TimelessUnlabelled: "time_of_creation_is_that_of_the_create_call",
}

Outcomes = Mapping[str, frozenset[str]]
RunKit = Callable[[Kind], Outcomes]


@pytest.fixture
def put_back(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let other tests have the process as it was: some backends change it."""
    handler = signal.getsignal(signal.SIGTERM)
    monkeypatch.chdir(Path.cwd())
    yield
    signal.signal(signal.SIGTERM, handler)


@pytest.fixture
def run_kit(put_back: None, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> RunKit:
    """Return what runs the whole kit on a backend, and says which checks passed, failed and were skipped."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    def run(kind: Kind) -> Outcomes:
        WrongContract.kind = kind
        pytester.makepyfile(
            "from wrong_backends import WrongContract\n\nclass TestIt(WrongContract):\n    pass\n"
        )
        recorder: pytest.HookRecorder = cast(Any, pytester).inline_run(
            "-p", "no:terminal", "-p", "no:cacheprovider"
        )
        outcomes = defaultdict[str, set[str]](set)
        for report in recorder.getreports("pytest_runtest_logreport"):
            assert isinstance(report, pytest.TestReport)
            if report.when == "call" or not report.passed:
                name = report.nodeid.rpartition("::")[2].removeprefix("test_")
                outcomes[report.outcome].add(name)
        # A check may pass or be skipped, and leave a machine.
        outcomes["passed"] -= outcomes["failed"]
        outcomes["skipped"] -= outcomes["failed"]
        return {outcome: frozenset(outcomes[outcome]) for outcome in ("passed", "failed", "skipped")}

    return run


@pytest.mark.parametrize(
    ("kind", "skipped"), [(Right, UNABLE | UNLABELLED), (RightUnlabelled, UNABLE | LABELLED)]
)
def test_a_right_backend_passes_all_checks(run_kit: RunKit, kind: Kind, skipped: frozenset[str]) -> None:
    assert run_kit(kind) == {"passed": ALL - skipped, "failed": frozenset(), "skipped": skipped}


@pytest.mark.parametrize("kind", WRONG, ids=lambda kind: kind.__name__)
def test_a_wrong_backend_fails_the_checks_named_for_it_and_no_other(run_kit: RunKit, kind: Kind) -> None:
    named = frozenset(WRONG[kind].split())

    outcomes = run_kit(kind)

    assert outcomes["failed"] == named
    assert outcomes["passed"] | outcomes["skipped"] == ALL - named
    usual = UNABLE | (LABELLED if issubclass(kind, RightUnlabelled) else UNLABELLED)
    assert outcomes["skipped"] - usual <= set(SKIPPED_TOO.get(kind, "").split())


def test_no_wrong_backend_is_forgotten() -> None:
    kinds = {
        kind
        for module in (create, deletes, labels, verbs, copies, capabilities, hidden, interface)
        for kind in vars(module).values()
        if inspect.isclass(kind)
        and issubclass(kind, Right | RightUnlabelled)
        and kind.__module__ == module.__name__
    }

    assert kinds - {capabilities.Runs, hidden.Meaning} == set(WRONG)
    assert len(WRONG) >= 30


def test_each_check_of_the_kit_can_fail() -> None:
    assert frozenset().union(*(names.split() for names in WRONG.values())) == ALL
