"""Calling the hooks of lifecycle plugins: in order, watched, each for itself. It knows no plugin.

A hook runs in the thread in which its time has come: one that handles signals must be in the main one, and a
gate stops the create that passes through it. So one that hangs can't be left behind; it is told of, by name.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, TypeVar, cast

from vmharness._watch import Watch
from vmharness.errors import PluginError
from vmharness.hooks import Lifecycle

__all__ = ["PATIENCE_S", "Hooks", "labels_of"]

T = TypeVar("T")

_log = logging.getLogger("vmharness.session")

# After that a hook is told of that hasn't come back, in seconds. The slowest of our own, which deletes a
# scope's machines, has 60.
PATIENCE_S: Final = 90.0


class Hooks:
    """The hooks of one session's plugins. Safe from threads.

    Args:
        plugins: Lifecycle plugins and their names, in the order of their hooks.
        report: Says one line to the user.
        alarm: Says at once, where nothing else may be shown for long, that a hook hangs.
        patience_s: After how many seconds a hook is told of that hasn't come back.
    """

    def __init__(
        self,
        plugins: Sequence[tuple[str, Lifecycle]],
        *,
        report: Callable[[str], None],
        alarm: Callable[[str], None],
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._plugins = tuple(plugins)
        self._report = report
        self._alarm = alarm
        self._watch = Watch(self._tell, patience_s=patience_s)
        self._known: dict[str, Sequence[tuple[str, Lifecycle]]] = {}

    def observe(
        self, hook: str, call: Callable[[Lifecycle], object], *, backwards: bool = False
    ) -> BaseException | None:
        """Call a hook of observers: what one raises is reported, and the others are called all the same.

        Args:
            hook: Its name.
            call: Calls it.
            backwards: Whether the last plugin comes first.

        Returns:
            What is no mere error, as a time-out that struck in a hook, or sys.exit: to be raised when what
            must be done is done.

        Raises:
            KeyboardInterrupt: It was interrupted; the other plugins are not called.
        """
        more_than_an_error: BaseException | None = None
        for name, plugin in self._having(hook, backwards=backwards):
            try:
                self._call(name, plugin, hook, call)
            except KeyboardInterrupt:
                raise
            except BaseException as exc:
                _log.exception("lifecycle plugin %r failed", name)
                self._report(
                    f"lifecycle plugin {name!r} failed in its hook {hook}: {type(exc).__name__}: {exc}"
                )
                if not isinstance(exc, Exception):
                    more_than_an_error = more_than_an_error or exc
        return more_than_an_error

    def pass_through(self, hook: str, call: Callable[[Lifecycle], T]) -> Iterator[tuple[str, T]]:
        """Call a hook of gates, and yield each plugin's name and answer; what one raises stops all.

        Raises:
            BaseException: What a gate raised; it carries a note of which one did.
        """
        for name, plugin in self._having(hook):
            try:
                answer = self._call(name, plugin, hook, call)
            except BaseException as exc:
                exc.add_note(f"raised in {hook} of the lifecycle plugin {name!r}")
                raise
            yield name, answer

    def has(self, hook: str) -> bool:
        """Whether any plugin has it."""
        return any(True for _ in self._having(hook))

    def end(self) -> None:
        """Call no more."""
        self._watch.end()

    def _having(self, hook: str, *, backwards: bool = False) -> Iterator[tuple[str, Lifecycle]]:
        known = self._known.get(hook)
        if known is None:
            base = getattr(Lifecycle, hook)
            known = [
                (name, plugin)
                for name, plugin in self._plugins
                if getattr(getattr(plugin, hook), "__func__", None) is not base
            ]
            self._known[hook] = known
        return reversed(known) if backwards else iter(known)

    def _call(self, name: str, plugin: Lifecycle, hook: str, call: Callable[[Lifecycle], T]) -> T:
        file = getattr(sys.modules.get(type(plugin).__module__), "__file__", None) or ""
        return self._watch.call(
            f"lifecycle plugin {name!r} is in its hook {hook}", file, lambda: call(plugin)
        )

    def _tell(self, what: str, seconds: float, place: str) -> None:
        text = (
            f"{what} for {seconds:.0f} s, at {place}; an interrupt ends it, and the run in "
            "good order; a second one, or a kill, leaves the machines to the reaper or the next sweep"
        )
        self._report(text)
        self._alarm(text)


def labels_of(answers: Iterator[tuple[str, object]]) -> Mapping[str, str]:
    """Return the labels that gates add, of all together; a later one wins.

    Raises:
        PluginError: What one returned is no labels.
    """
    labels: dict[str, str] = {}
    for name, answer in answers:
        if answer is None:
            continue
        if not isinstance(answer, Mapping) or not all(
            isinstance(part, str) for pair in cast("Mapping[object, object]", answer).items() for part in pair
        ):
            raise PluginError(
                f"cannot use what before_create of the lifecycle plugin {name!r} returned: {answer!r} is "
                "neither None nor a mapping of labels to their texts"
            )
        labels.update(cast("Mapping[str, str]", answer))
    return labels
