"""The fixtures; they know the session, and nothing of how a run is watched."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol

import pytest

from vmharness._settings import parse_bytes
from vmharness.errors import EngineUnavailable, PluginError, SettingsError, VMHarnessError
from vmharness.pytest_plugin._run import RUN

if TYPE_CHECKING:
    from vmharness._machine import Machine
    from vmharness._session import Session
    from vmharness.provider import Provider

__all__ = [
    "VMFactory",
    "shared_vm",
    "track_test_vm",
    "vm",
    "vm_backend",
    "vm_factory",
    "vm_provider",
    "vm_session",
]


class VMFactory(Protocol):
    """Makes machines that go after the test; what the fixture `vm_factory` gives."""

    def __call__(
        self,
        name: str | None = None,
        *,
        image: str | None = None,
        cpus: int | None = None,
        memory: int | str | None = None,
        disk: int | str | None = None,
        arch: str | None = None,
        user: str | None = None,
        user_data: str | None = None,
        kind: str | None = None,
        timeout: float | None = None,
    ) -> Machine:
        """Make a machine.

        Args:
            name: Its name; None = one that nobody has.
            image: Name of the image; None = the configured one.
            cpus: Number of processors.
            memory: Memory in bytes, or as "2G".
            disk: Root disk in bytes, or as "10G".
            arch: Processor architecture.
            user: User that commands run as by default.
            user_data: Text for cloud-init.
            kind: "any", "container" or "vm".
            timeout: Seconds until the deadline; None = the configured one.
        """
        ...


@contextmanager
def _plainly() -> Generator[None]:
    """Show a fixture's failure as its message: how we came to it tells the user nothing.

    But of a plugin that is broken its author needs all there is.
    """
    try:
        yield
    except PluginError:
        raise
    except VMHarnessError as exc:
        raise pytest.fail.Exception(f"{type(exc).__name__}: {exc}", pytrace=False) from None


@pytest.fixture(scope="session")
def vm_session(request: pytest.FixtureRequest) -> Session:
    """The session of this process: any machines, in any scope, of any backend."""
    run = request.config.stash[RUN]
    with _plainly():
        return run.session


@pytest.fixture(scope="session")
def vm_backend(vm_session: Session) -> str:
    """The backend's name; override or parametrise it. Without an engine, tests are skipped."""
    with _plainly():
        try:
            return vm_session.backend()
        except EngineUnavailable as exc:
            pytest.skip(str(exc))


@pytest.fixture
def vm_provider(vm_session: Session, vm_backend: str) -> Provider:
    """The provider of the test's backend."""
    with _plainly():
        return vm_session.provider(vm_backend)


@pytest.fixture
def vm_factory(request: pytest.FixtureRequest, vm_session: Session, vm_backend: str) -> VMFactory:
    """Make any number of machines, gone after the test."""

    def factory(name: str | None = None, *, timeout: float | None = None, **fields: Any) -> Machine:
        __tracebackhide__ = True
        asked = {key: value for key, value in fields.items() if value is not None}
        if name is not None:
            asked["name"] = check_name(name)
        for key, parse in (("memory", parse_bytes), ("disk", parse_bytes), ("kind", Kind)):
            if key in asked:
                try:
                    asked[key] = parse(asked[key])
                except ValueError as exc:
                    raise SettingsError(f"cannot use {key}={asked[key]!r} for a machine: {exc}") from exc
        return vm_session.create(scope=request.node.nodeid, backend=vm_backend, timeout=timeout, **asked)

    from vmharness._model import Kind
    from vmharness._naming import check_name

    return factory


_FIELDS: Final = ("arch", "cpus", "disk", "image", "kind", "memory", "timeout", "user", "user_data")


@pytest.fixture
def vm(request: pytest.FixtureRequest, vm_factory: VMFactory) -> Machine:
    """Make a fresh machine for this test, as the marker `vm` says."""
    with _plainly():
        return vm_factory(**_marked(request.node))


def _marked(node: pytest.Item) -> dict[str, Any]:
    """Return what the markers `vm` of a test say; the closest wins, field by field."""
    fields: dict[str, Any] = {}
    for marker in node.iter_markers("vm"):
        wrong = [repr(arg) for arg in marker.args] + sorted(set(marker.kwargs) - set(_FIELDS))
        if wrong:
            raise SettingsError(
                f"cannot use {wrong[0]} in the marker vm of {node.nodeid}; known are {', '.join(_FIELDS)}"
            )
        fields = {**marker.kwargs, **fields}
    return fields


@pytest.fixture(scope="session")
def shared_vm(vm_session: Session, vm_backend: str) -> Machine:
    """Make one machine for the whole run, one a worker under xdist."""
    with _plainly():
        return vm_session.create(backend=vm_backend)


@pytest.fixture
def track_test_vm(
    request: pytest.FixtureRequest, vm_session: Session, vm_backend: str
) -> Callable[[str], None]:
    """Clean up a machine made by other means after the test; named before or after it is made."""

    def track(name: str) -> None:
        vm_session.named(name, scope=request.node.nodeid, backend=vm_backend)

    return track
