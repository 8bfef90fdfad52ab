"""A real engine as a person meets it: by its own command, never through our code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Engine"]


@dataclass(frozen=True)
class Engine:
    """A real engine, its own command line, and what a run must be told to use it."""

    backend: str
    image: str
    command: Callable[..., str]

    def names(self) -> list[str]:
        """Return the names of all machines, running or not."""
        if self.backend == "docker":
            return sorted(self.command("ps", "-a", "--format", "{{.Names}}").split())
        return sorted(self.command("list", "-c", "n", "--format", "csv").split())

    def make(self, name: str) -> None:
        """Make a machine as a stranger would."""
        if self.backend == "docker":
            self.command("run", "-d", "--name", name, self.image, "sleep", "100000")
        else:
            self.command("launch", self.image, name)

    def remove(self, name: str) -> None:
        """Remove a machine if it is there."""
        if name in self.names():
            self.command(*(["rm", "-f"] if self.backend == "docker" else ["delete", "--force"]), name)

    def make_argv(self, name: str) -> list[str]:
        """Return the command that makes a machine, for a test's body."""
        if self.backend == "docker":
            return ["docker", "run", "-d", "--name", name, self.image, "sleep", "100000"]
        return ["incus" if self.backend == "incus" else "lxc", "launch", self.image, name]
