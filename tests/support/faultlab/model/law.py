"""What vmharness has promised, as judgements over what is true; it knows none of the product's own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from faultlab.model.files import Entry
from faultlab.model.truth import Ended, Made, Named, Process, Truth, Want

__all__ = ["excuse", "lose", "off_the_books", "wrong_delete", "wrong_intent"]

# How far an engine's clock may lie behind ours where time proves a machine, in seconds.
_SLACK_S: Final = 1.0


def wrong_intent(truth: Truth, want: Want) -> str:
    """Return why an engine should not be asked for this yet; "" if the intent is on the disk."""
    for book in truth.books(want.process.folder):
        for entry in book.entries.values():
            if book.held and entry.state == "wanted" and entry.means(want.endpoint, want.name, want.token):
                return ""
    return f"{_who(want)} is asked for, and no ledger whose lock is held says so"


def wrong_delete(truth: Truth, actor: Process, made: Made) -> str:
    """Return why no process of vmharness may delete a machine as this one does; "" if a promise lets it."""
    if (actor.folder, made.endpoint, made.name) in truth.protected:
        return "it is protected"
    if not _has_a_right(truth, actor, made):
        return "nothing proves that it is its own, or a dead owner's"
    for book in truth.books(actor.folder):
        entries = book.entries.values()
        named = any(entry.doomed and entry.means(made.endpoint, made.name, made.token) for entry in entries)
        if named and book.held:
            return ""
    return "no ledger names it whose lock is held"


def _has_a_right(truth: Truth, actor: Process, made: Made) -> bool:
    want = made.want
    if want and want.process is actor:
        return True
    living = [process for process in _owners(made) if process.alive and process is not actor]
    if any(process.folder == actor.folder for process in living):
        return False
    if want and not want.lost and want.process.folder == actor.folder and not want.process.alive:
        return True
    if made.token:
        # Promises 2 and 5: a missing ledger, or one elsewhere, proves nothing; only the expiry in the label
        # does. A copy has another name.
        return made.old and made.of == made.name
    # What is left are machines without a label. Who named it, asked for it or sweeps by its prefix can't tell
    # it from another owner's with another state folder.
    dead = [process for process in truth.processes if not process.alive and process.folder == actor.folder]
    return any(_claims(truth, process, made, dead=process is not actor) for process in (actor, *dead))


def _owners(made: Made) -> Iterator[Process]:
    if made.want:
        yield made.want.process
    for named in made.named:
        yield named.process


def _claims(truth: Truth, process: Process, made: Made, *, dead: bool) -> bool:
    """Whether what the process has named or asked for may be this machine, as far as names and times tell."""
    created = truth.created(made)
    for named in process.named:
        if named.endpoint == made.endpoint and (
            named.name == made.name or made.name.startswith(f"{named.name}-")
        ):
            absent = named.seen_absent and named.name == made.name
            in_time = not dead or named.name != made.name or created <= named.until
            if in_time and (absent or created >= process.began):
                return True
    for want in process.wants:
        in_time = want.began - _SLACK_S <= created <= want.asked + want.takes
        same = (want.endpoint, want.name, want.token) == (made.endpoint, made.name, "")
        if same and in_time and want.ended is not Ended.REFUSED:
            return True
    # An explicit prefix: what was there before, but not the machines whose names vmharness made up, unless
    # they are as old as a label would protect them.
    young = made.want is not None and made.want.made_up and not made.old
    return made.name.startswith(process.prefixes or ("?",)) and created < process.began and not young


def lose(process: Process, left: Sequence[Entry], why: str) -> None:
    """Note which of a process's machines its ledger doesn't name any more, and what it can't tell any more.

    What others' ledgers say of the same name is their own affair.
    """
    unanswered = [entry for entry in left if entry.state == "wanted" and not entry.tracked]
    items: list[Want | Named] = [*process.wants, *process.named]
    for item in items:
        if not _is_named(item, left):
            item.lost = item.lost or why
        elif isinstance(item, Want) and item.ended is Ended.REFUSED and _is_named(item, unanswered):
            # The line that said so is unreadable: as if it had died before it heard of the refusal. Without
            # labels, a stranger's machine of that time then looks like its own.
            item.ended = Ended.DOUBT


# -- what is left


def off_the_books(truth: Truth) -> Iterator[str]:
    """Yield what should be on an owner's books, and isn't: a machine that is or may come to be there."""
    for made in truth.machines.values():
        if made.gone:
            continue
        if made.want and not _settled(truth, made.want) and not _is_open(truth, made.want):
            yield f"{_who(made.want)} has no record, and is there or will be"
        for named in made.named:
            if not named.lost and not _is_open(truth, named):
                yield f"{_who(named)}, tracked, has no record, and is there"
    for process in truth.processes:
        for want in process.wants:
            vain = want.machine is None and want.ended is Ended.DOUBT and not want.contested
            if vain and not _settled(truth, want) and not _is_open(truth, want):
                yield f"{_who(want)}, asked for in vain, has no record, and may still come"


def _settled(truth: Truth, want: Want) -> bool:
    """Whether its record may be settled though it may be there."""
    return bool(want.lost) or want.forgotten or bool(_mistaken(truth, want))


def _mistaken(truth: Truth, want: Want) -> str:
    """Return why time, where it alone can, doesn't prove the machine to be ours."""
    made = want.machine
    if made is None or want.token or made.appears > truth.clock.monotonic():
        return ""
    if truth.created(made) > want.began + want.takes:
        return "without labels: it came later than the engine says that it can"
    if truth.created(made) < want.asked - _SLACK_S:
        return "without labels: the clock was set back before it came"
    return ""


def _is_open(truth: Truth, item: Want | Named) -> bool:
    books = truth.books(item.process.folder)
    return any(_is_named(item, book.entries.values()) for book in books)


def _is_named(item: Want | Named, entries: Iterable[Entry]) -> bool:
    token = item.token if isinstance(item, Want) else ""
    return any(entry.open and entry.means(item.endpoint, item.name, token) for entry in entries)


def _who(item: Want | Named) -> str:
    return f"{item.name!r} of {item.process.name} on {item.endpoint}"


def excuse(truth: Truth, made: Made) -> str:
    """Return why a machine of ours may be left when all owners are dead and have been swept; "" = none."""
    items: Sequence[Want | Named] = [made.want] if made.want else made.named
    if any((item.process.folder, made.endpoint, made.name) in truth.protected for item in items):
        return "it is protected"
    if made.want:
        want = made.want
        newer = "its ledger is of a newer version" if want.process.newer else ""
        late = "it came after its tombstone" if want.forgotten else ""
        return want.lost or newer or late or _mistaken(truth, want)
    return next(filter(None, (_excuse_named(truth, made, named) for named in made.named)), "")


def _excuse_named(truth: Truth, made: Made, named: Named) -> str:
    if named.process.newer:
        return "its ledger is of a newer version"
    if truth.created(made) > named.until:
        return "tracked: it was made so late that it may be a stranger's"
    return named.lost
