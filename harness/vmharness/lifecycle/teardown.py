"""When machines go: at the end of their scope. Without this plugin, at the session's end."""

from __future__ import annotations

from vmharness._model import State
from vmharness.hooks import Lifecycle, Session

__all__ = ["Teardown"]


class Teardown(Lifecycle):
    """Deletes a scope's machines at its end, all in parallel."""

    def scope_ended(self, session: Session, scope: str) -> None:
        """Delete what the scope has, and look again for the maybes of scopes that ended before."""
        here = session.unfinished(scope)
        if not here:
            return
        late = [r for r in session.unfinished() if r.state is State.MAYBE and r.scope != scope]
        session.delete([*here, *late])
