"""The fixtures, the marker and the scopes, in real pytest runs."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from vmharness.provider import Spec
from vmharness_fake import FolderFakeProvider, FolderStore

Run = Callable[..., pytest.RunResult]
Names = Callable[[], list[str]]


@pytest.fixture(autouse=True)
def nothing_is_left(names: Names, ledgers: Names) -> object:
    """After each of these runs the engine must be empty but for strangers, and no ledger be left."""
    yield
    assert [name for name in names() if not name.startswith("stranger")] == []
    assert ledgers() == []


def made(store: FolderStore) -> int:
    return sum(event.verb == "create" and event.phase == "accepted" for event in store.events())


def test_a_passing_and_a_failing_test(run: Run, store: FolderStore) -> None:
    result = run("""
        def test_pass(vm):
            assert vm.run(["echo", "hi"]).stdout == "hi\\n"

        def test_fail(vm):
            assert not vm.name
    """)

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*fake: fake engine*", "machines: 2 created, 2 deleted, 0 swept, 0 left"])
    assert made(store) == 2


def test_a_machine_goes_when_its_test_ends_and_not_before(run: Run) -> None:
    result = run("""
        names = []

        def test_one(vm, vm_provider):
            names.append(vm.name)
            assert vm_provider.exists(vm.name)

        def test_two(vm_provider):
            assert not vm_provider.exists(names[0])
    """)

    result.assert_outcomes(passed=2)


def test_machines_outlive_the_fixtures_that_use_them(run: Run) -> None:
    result = run("""
        import pytest

        @pytest.fixture
        def service(vm):
            yield vm
            assert vm.run(["echo", "stop"]).status == 0

        def test_one(service):
            pass
    """)

    result.assert_outcomes(passed=1)


def test_an_error_in_setup_leaves_nothing(run: Run, store: FolderStore) -> None:
    result = run("""
        import pytest

        @pytest.fixture
        def broken(vm):
            raise RuntimeError("broken")

        def test_one(broken):
            pass
    """)

    result.assert_outcomes(errors=1)
    assert made(store) == 1


def test_an_error_in_teardown_leaves_nothing(run: Run, store: FolderStore) -> None:
    result = run("""
        import pytest

        @pytest.fixture
        def broken(vm):
            yield
            raise RuntimeError("broken")

        def test_one(broken):
            pass
    """)

    result.assert_outcomes(passed=1, errors=1)
    assert made(store) == 1


def test_the_marker_says_what_vm_shall_be(run: Run) -> None:
    result = run("""
        import pytest

        pytestmark = pytest.mark.vm(image="debian:12", cpus=2)

        def test_module(vm):
            assert vm.image == "debian:12"

        @pytest.mark.vm(image="alpine:3.20", memory="1G", user="tester")
        def test_closest_wins(vm):
            assert vm.image == "alpine:3.20"
            assert vm.run(["whoami"]).stdout == "tester\\n"
    """)

    result.assert_outcomes(passed=2)


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        ("colour='red'", "*cannot use colour in the marker vm of *known are arch, cpus*"),
        ("'debian:12'", "*cannot use 'debian:12' in the marker vm*"),
        ("memory='much'", "*cannot use memory='much' for a machine: not a size*"),
        ("kind='cloud'", "*cannot use kind='cloud' for a machine*"),
        ("image='nosuch:1'", "*nosuch:1*ubuntu:24.04*"),
    ],
)
def test_a_wrong_marker_is_told(run: Run, marker: str, message: str) -> None:
    result = run(f"""
        import pytest

        @pytest.mark.vm({marker})
        def test_one(vm):
            pass
    """)

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([message])


def test_the_factory_makes_any_number(run: Run, store: FolderStore) -> None:
    result = run("""
        def test_one(vm_factory):
            web, db = vm_factory("web"), vm_factory("db", image="debian:12", memory="512M")
            assert (web.name, db.name, db.image) == ("web", "db", "debian:12")
            db.delete()

        def test_again(vm_factory):
            assert vm_factory("web").name == "web"
    """)

    result.assert_outcomes(passed=2)
    assert made(store) == 3


@pytest.mark.parametrize("name", ["", "-rf", "--help", "a b", "ä", "A", "../x", "x" * 64])
def test_a_bad_name_is_told_and_nothing_made(run: Run, store: FolderStore, name: str) -> None:
    result = run(f"""
        def test_one(vm_factory):
            vm_factory({name!r})
    """)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*SettingsError: cannot name a machine*"])
    assert made(store) == 0


def test_a_name_that_a_stranger_has_is_told(run: Run, engine: FolderFakeProvider) -> None:
    engine.create(Spec(name="stranger-1"), timeout=5)

    result = run("""
        def test_one(vm_factory):
            vm_factory("stranger-1")
    """)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*NameTaken*stranger-1*"])
    assert engine.exists("stranger-1")


def test_one_shared_machine_for_the_run(run: Run, store: FolderStore) -> None:
    result = run("""
        names = set()

        def test_one(shared_vm):
            names.add(shared_vm.name)

        def test_two(shared_vm):
            names.add(shared_vm.name)
            assert len(names) == 1
    """)

    result.assert_outcomes(passed=2)
    assert made(store) == 1


def test_class_and_module_scopes(run: Run, store: FolderStore) -> None:
    result = run("""
        import pytest

        names = {}

        @pytest.fixture(scope="module")
        def of_module(request, vm_session):
            return vm_session.create(scope=request.node.nodeid)

        @pytest.fixture(scope="class")
        def of_class(request, vm_session):
            return vm_session.create(scope=request.node.nodeid)

        class TestA:
            def test_one(self, of_class, of_module):
                names["class"], names["module"] = of_class.name, of_module.name

            def test_two(self, of_class, vm_session):
                assert of_class.name == names["class"]

        def test_after(vm_session):
            assert not vm_session.provider().exists(names["class"])
            assert vm_session.provider().exists(names["module"])

        def test_block(vm_session):
            with vm_session.scope("block") as scope:
                machine = vm_session.create(scope=scope)
            assert not vm_session.provider().exists(machine.name)
    """)

    result.assert_outcomes(passed=4)
    assert made(store) == 3


def test_two_modules_have_each_their_own(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makeconftest("""
        import pytest

        names = []

        @pytest.fixture(scope="module")
        def of_module(request, vm_session):
            machine = vm_session.create(scope=request.node.nodeid)
            there = [info.name for info in vm_session.provider().list()]
            assert there == [machine.name]
            return machine
    """)
    pytester.makepyfile(test_b="def test_one(of_module): pass", test_c="def test_one(of_module): pass")

    run("def test_one(of_module): pass").assert_outcomes(passed=3)


def test_unittest_classes(run: Run, store: FolderStore) -> None:
    result = run("""
        import unittest
        import pytest

        class TestA(unittest.TestCase):
            @pytest.fixture(autouse=True)
            def machine(self, vm):
                self.vm = vm

            def test_one(self):
                assert self.vm.run(["true"]).status == 0

            def test_two(self):
                self.fail("on purpose")
    """)

    result.assert_outcomes(passed=1, failed=1)
    assert made(store) == 2


def test_a_parametrised_backend(run: Run, store: FolderStore, pytester: pytest.Pytester) -> None:
    result = run("""
        import pytest
        from vmharness_fake import connect

        @pytest.fixture(params=["fake", "fake"], ids=["one", "two"])
        def vm_backend(request):
            return request.param

        def test_one(vm, vm_provider):
            assert vm_provider.exists(vm.name)
    """)

    result.assert_outcomes(passed=2)
    assert made(store) == 2


def test_two_backends_in_one_run(run: Run, store: FolderStore, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        other_backend="""
        from pathlib import Path
        from vmharness_fake import FolderFakeProvider, FolderStore

        def connect(endpoint=None):
            return FolderFakeProvider(FolderStore(Path(__file__).parent / "other"))
        """
    )
    folder = pytester.path / "other_backend-1.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: other-backend\nVersion: 1\n")
    (folder / "entry_points.txt").write_text("[vmharness.backends]\nother = other_backend:connect\n")
    pytester.syspathinsert()

    result = run("""
        import pytest

        class TestOther:
            @pytest.fixture
            def vm_backend(self):
                return "other"

            def test_one(self, vm, vm_session):
                assert vm.backend == "other"
                assert not vm_session.provider("fake").exists(vm.name)

        def test_usual(vm):
            assert vm.backend == "fake"

        def test_both(vm_session, request):
            names = {vm_session.create(backend=name, name="web", scope=request.node.nodeid).name
                     for name in ("fake", "other")}
            assert names == {"web"}
    """)

    result.assert_outcomes(passed=3)
    other = FolderFakeProvider(FolderStore(pytester.path / "other"))
    assert other.list() == []
    assert made(other.store) == 2  # type: ignore[arg-type]
    assert made(store) == 2


def test_pytester_inside_a_test_that_holds_a_machine(run: Run, store: FolderStore) -> None:
    result = run(
        """
        import pytest

        @pytest.mark.parametrize("how", ["inprocess", "subprocess"])
        def test_outer(vm, vm_provider, pytester, how):
            pytester.makepyfile("def test_inner(vm, shared_vm): assert vm.name != shared_vm.name")
            run = pytester.runpytest_inprocess if how == "inprocess" else pytester.runpytest_subprocess
            result = run("-pno:xdist")
            result.assert_outcomes(passed=1)
            assert [info.name for info in vm_provider.list()] == [vm.name]
            assert vm.run(["true"]).status == 0
        """,
        "-ppytester",
    )

    result.assert_outcomes(passed=2)
    assert made(store) == 6


class TestRerunfailures:
    """pytest-rerunfailures sets a test up again."""

    def test_each_run_has_a_fresh_machine(self, run: Run, store: FolderStore) -> None:
        result = run(
            """
            names = []

            def test_one(vm, vm_provider, vm_factory):
                vm_factory("web")
                names.append(vm.name)
                assert len(vm_provider.list()) == 2
                assert len(set(names)) == 3
            """,
            "--reruns=2",
            plugins=["rerunfailures"],
        )

        result.assert_outcomes(passed=1)
        assert "2 rerun" in result.stdout.str()
        assert made(store) == 6

    def test_an_error_in_setup_is_run_again(self, run: Run, store: FolderStore) -> None:
        result = run(
            """
            import pytest
            names = []

            @pytest.fixture(scope="module")
            def of_module(request, vm_session):
                machine = vm_session.create(scope=request.node.nodeid)
                names.append(machine.name)
                if len(names) == 1:
                    raise RuntimeError("once")
                return machine

            def test_one(of_module):
                pass
            """,
            "--reruns=1",
            plugins=["rerunfailures"],
        )

        result.assert_outcomes(passed=1)
        assert made(store) == 2


class TestXdist:
    """Workers record, the controller sums up."""

    def test_the_controller_sums_up(self, run: Run, store: FolderStore) -> None:
        result = run(
            """
            import pytest

            @pytest.mark.parametrize("n", range(12))
            def test_one(vm, n, shared_vm):
                assert n % 4
            """,
            "-n4",
            plugins=["xdist"],
        )

        result.assert_outcomes(passed=9, failed=3)
        result.stdout.fnmatch_lines(
            [f"machines: {made(store)} created, {made(store)} deleted, 0 swept, 0 left"]
        )

    def test_all_workers_are_one_session(self, run: Run, pytester: pytest.Pytester) -> None:
        result = run(
            """
            import pytest

            @pytest.mark.parametrize("n", range(8))
            def test_one(vm, n, vm_provider, vm_session):
                labels = vm_provider.inspect(vm.name).labels
                assert labels["vmharness.session"] == vm_session.id
                with open("ids", "a") as file:
                    print(vm_session.id, file=file)
            """,
            "-n2",
            plugins=["xdist"],
        )

        result.assert_outcomes(passed=8)
        assert len(set((pytester.path / "ids").read_text().splitlines())) == 1

    @pytest.mark.usefixtures("no_reaper")
    def test_a_worker_that_crashes_leaves_nothing_at_the_runs_end(self, run: Run, store: FolderStore) -> None:
        result = run(
            """
            import os
            import pytest

            @pytest.mark.parametrize("n", range(6))
            def test_one(vm, n):
                if n == 2:
                    os._exit(3)
            """,
            "-n2",
            plugins=["xdist"],
        )

        result.assert_outcomes(passed=5, failed=1)
        assert "1 swept, 0 left" in result.stdout.str()

    def test_x_stops_in_good_order(self, run: Run) -> None:
        result = run(
            """
            import pytest

            @pytest.mark.parametrize("n", range(20))
            def test_one(vm, n):
                assert 0
            """,
            "-n2",
            "-x",
            plugins=["xdist"],
        )

        assert result.ret == pytest.ExitCode.INTERRUPTED
        assert " 0 left" in result.stdout.str()

    def test_without_xdist(self, run: Run) -> None:
        run("def test_one(vm): pass", "-pno:xdist").assert_outcomes(passed=1)


def test_without_a_terminal(run: Run, store: FolderStore) -> None:
    result = run("def test_one(vm, shared_vm): pass", "-pno:terminal")

    assert result.ret == 0
    assert made(store) == 2


def test_without_the_plugin(run: Run) -> None:
    run("def test_one(): pass", "-pno:vmharness").assert_outcomes(passed=1)
