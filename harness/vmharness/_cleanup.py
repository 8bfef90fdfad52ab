"""Prove, delete, verify: the one way a machine goes. It knows no ledger file, no plugin and no test.

Nothing is deleted without proof; deleted means that a successful listing lacks the name; a failed
listing proves nothing; what is in doubt is left alone and said.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from vmharness._clock import Clock, pauses
from vmharness._model import LABEL_EXPIRES, LABEL_TOKEN, MachineInfo, Record, State
from vmharness._threads import run_parallel
from vmharness.errors import Busy, EngineUnavailable, ProviderError
from vmharness.provider import Inspects, Provider

__all__ = ["TOMBSTONE_S", "Cleanup", "Outcome", "Proof", "Verdict", "expired", "expiry", "prove", "undone"]

# How an outcome's error begins when there was no listing to judge by.
NO_ANSWER: Final = "cannot list machines"
_TAKEN: Final = "left alone: a living owner has a machine of that name on its books"
# For how long after its settling time a maybe is still looked for.
TOMBSTONE_S: Final = 24 * 3600.0
# Engines without labels: how far their clock may lie behind ours, in seconds, for names that we made.
_CLOCK_SLACK_S: Final = 1.0
# How long a listing that fails is repeated before nothing is deleted, in seconds: somebody waits for a run to
# begin or to end, and the machines stay on the books.
_LOOK_S: Final = 5.0
# The same for each ledger of a dead session, of which there may be many.
_CLAIMED_LOOK_S: Final = 1.0
# How often a delete that failed for good is tried again all the same.
_LAST_TRIES: Final = 3

# Returns the ids of records whose names others have.
Taken = Callable[[], frozenset[str]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a record: its new state, why if something is to be said, and whether it was deleted."""

    record: Record
    state: State
    error: str = ""
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a delete would do: delete the machine if `outcome` is None, and else nothing but to note that.

    Attributes:
        record: The ledger's entry.
        info: The machine of that name, None if a listing lacks it or there was none.
        outcome: What becomes of the record without a delete; None = proven, its machine would go.
    """

    record: Record
    info: MachineInfo | None
    outcome: Outcome | None


@dataclass(frozen=True, slots=True)
class Proof:
    """Whether a machine is the record's; if not, why, and whether it is surely another's."""

    ours: bool
    reason: str = ""
    surely_not: bool = False


def prove(record: Record, info: MachineInfo, *, claimed: bool) -> Proof:
    """Judge whether a machine is the one that a ledger's entry names.

    Args:
        record: The entry; we hold that ledger's lock.
        info: A machine of the same name and endpoint, from a listing.
        claimed: Whether the ledger's owner is dead, so that its machines were made before its death.
    """
    token = (info.labels or {}).get(LABEL_TOKEN, "")
    if record.token:
        if info.labels is None:
            return Proof(ours=False, reason="the engine shows no labels, so nothing proves that it is ours")
        if token == record.token:
            return Proof(ours=True)
        return Proof(ours=False, reason="it lacks our label, so it is a stranger's", surely_not=True)
    if token:
        return Proof(ours=False, reason="it carries another session's label", surely_not=True)
    if info.created_at is None:
        return Proof(ours=False, reason="the engine doesn't say when it was created")
    slack = 0.0 if record.tracked else _CLOCK_SLACK_S
    if info.created_at + info.created_resolution < record.wanted_at - slack:
        return Proof(ours=False, reason="it was there before, so it is a stranger's", surely_not=True)
    if info.created_at < record.wanted_at - slack:
        return Proof(ours=False, reason="it may have been there before: created too close to tell")
    if info.created_at > record.deadline and (claimed or not record.tracked):
        # Of a create of our own we know when it had to be over; of one that a test named, we guess.
        reason = "it was created after the deadline of what we asked for"
        return Proof(ours=False, reason=reason, surely_not=not record.tracked)
    return Proof(ours=True)


def expiry(info: MachineInfo) -> float | None:
    """Return when anybody may sweep the machine by its label of ours; None: never, or it can't be read."""
    labels = info.labels or {}
    if not labels.get(LABEL_TOKEN):
        return None
    try:
        return float(labels[LABEL_EXPIRES])
    except (KeyError, ValueError):
        return None  # an unreadable label is doubt, and doubt keeps


def expired(info: MachineInfo, now: float) -> bool:
    """Whether the machine carries a label of ours with an expiry that has passed."""
    expires = expiry(info)
    return expires is not None and expires < now


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a delete failed, and whether that may pass by itself."""

    reason: str
    passing: bool


class Cleanup:
    """Deletes machines of one provider, on proof.

    Args:
        provider: Of the endpoint that the records name.
        clock: Reads the time and waits.
    """

    def __init__(self, provider: Provider, clock: Clock) -> None:
        self._provider = provider
        self._clock = clock

    def delete(
        self,
        records: Sequence[Record],
        *,
        timeout: float,
        claimed: bool = False,
        fresh: frozenset[str] = frozenset(),
        protected: frozenset[str] = frozenset(),
        taken: Taken = frozenset,
    ) -> Sequence[Outcome]:
        """Delete the machines of the records, as many as are proven, and verify by a listing.

        Args:
            records: All of this provider's endpoint.
            timeout: Seconds until the deadline for all together.
            claimed: Whether their ledger's owner is dead.
            fresh: Ids of records whose create returned in this process under a name that we made up:
                that is their proof, and saves a listing.
            protected: Names that are never deleted.
            taken: Returns the ids of records whose names others have by now; asked once it is known what is
                there, for whoever made that had written it down before.

        Returns:
            An outcome for each record. Errors of the engine don't raise.
        """
        deadline = self._clock.monotonic() + timeout
        known = {
            record.id: record for record in records if record.id in fresh and record.name not in protected
        }
        unproven = [record for record in records if record.id not in known]
        outcomes: dict[str, Outcome] = {}
        doomed = list(known.values())
        look_until = min(deadline, self._clock.monotonic() + (_CLAIMED_LOOK_S if claimed else _LOOK_S))
        for verdict in self._judge_all(unproven, look_until, protected, taken, claimed=claimed):
            if verdict.outcome is None:
                doomed.append(verdict.record)
            else:
                outcomes[verdict.record.id] = verdict.outcome
        if doomed:
            outcomes |= {
                outcome.record.id: outcome for outcome in self._delete_all(doomed, deadline, claimed=claimed)
            }
        return [outcomes[record.id] for record in records]

    def judge(
        self,
        records: Sequence[Record],
        *,
        timeout: float,
        protected: frozenset[str] = frozenset(),
        taken: Taken = frozenset,
    ) -> Sequence[Verdict]:
        """Say what `delete` would do with records whose owners are dead; nothing is changed.

        Args:
            records: All of this provider's endpoint.
            timeout: Seconds until the deadline of the listing.
            protected: Names that are never deleted.
            taken: As in `delete`.
        """
        deadline = self._clock.monotonic() + timeout
        return list(self._judge_all(records, deadline, protected, taken, claimed=True))

    def _judge_all(
        self,
        records: Sequence[Record],
        deadline: float,
        protected: frozenset[str],
        taken: Taken,
        *,
        claimed: bool,
    ) -> Iterator[Verdict]:
        """Judge by one listing; without records the engine isn't asked."""
        if not records:
            return
        there, error = self._listing(deadline)
        others = taken()
        for record in records:
            if there is None:
                unknown = Outcome(record, undone(record), f"{NO_ANSWER}: {error}")
                yield Verdict(record, None, unknown)
            elif record.id in others and record.name in there:
                yield Verdict(record, there[record.name], Outcome(record, undone(record), _TAKEN))
            else:
                info = there.get(record.name)
                yield Verdict(record, info, self._judge(record, info, protected, claimed=claimed))

    def _judge(
        self, record: Record, info: MachineInfo | None, protected: frozenset[str], *, claimed: bool
    ) -> Outcome | None:
        """Decide without deleting; None = proven, to be deleted."""
        if info is None:
            return Outcome(record, self._absent(record))
        if record.name in protected:
            return Outcome(record, State.KEPT, "protected")
        try:
            proof = self._prove(record, info, claimed=claimed)
        except ProviderError as exc:
            return Outcome(record, undone(record), f"cannot inspect it: {exc}")
        if proof is None:
            return Outcome(record, self._absent(record))
        if proof.ours:
            return None
        # A sure stranger settles the record: the engine gives a name to one machine only.
        state = State.GONE if proof.surely_not else undone(record)
        return Outcome(record, state, f"left alone: {proof.reason}")

    def _prove(self, record: Record, info: MachineInfo, *, claimed: bool) -> Proof | None:
        """Judge by the listing, or if its times are too coarse by a closer look; None = it is absent."""
        proof = prove(record, info, claimed=claimed)
        if not proof.ours and info.created_resolution and isinstance(self._provider, Inspects):
            exact = self._provider.inspect(record.name)
            return None if exact is None else prove(record, exact, claimed=claimed)
        return proof

    def _absent(self, record: Record) -> State:
        """What it means that a successful listing lacks the name."""
        unsettled = record.state in (State.WANTED, State.MAYBE) and not record.tracked
        if unsettled and self._clock.time() < record.deadline + TOMBSTONE_S:
            return State.MAYBE
        return State.GONE

    def _listing(self, deadline: float) -> tuple[Mapping[str, MachineInfo] | None, str]:
        """List until it succeeds or the deadline passes; None = unknown, with the last reason."""
        for pause in pauses():
            try:
                return {info.name: info for info in self._provider.list()}, ""
            except ProviderError as exc:
                reason = str(exc)
            except Exception as exc:  # a backend's defect must not keep the other machines alive
                return None, f"{type(exc).__name__}: {exc}"
            if self._clock.monotonic() + pause > deadline:
                return None, reason
            self._clock.sleep(pause)
        raise AssertionError("pauses are without end")

    def _delete_all(self, records: Sequence[Record], deadline: float, *, claimed: bool) -> Iterator[Outcome]:
        """Delete in parallel and verify by a listing; what it still shows is proven anew, and tried again.

        A name alone is never deleted twice: after a delete whose answer was lost, it may be a stranger's.
        """
        left = list(records)
        lasting: Counter[str] = Counter()
        for pause in pauses():
            names = sorted({record.name for record in left})
            failures = run_parallel(lambda name: self._delete_one(name, deadline), names)
            failed = dict(zip(names, failures, strict=True))
            lasting.update(name for name, failure in failed.items() if failure and not failure.passing)
            there, error = self._listing(deadline)
            late = self._clock.monotonic() + pause > deadline
            again: list[Record] = []
            for record in left:
                failure = failed[record.name]
                why = failure.reason if failure else ""
                if there is None:
                    yield Outcome(record, State.STUCK, why or f"deleted, but not verified: {error}")
                    continue
                info = there.get(record.name)
                outcome = self._judge(record, info, frozenset(), claimed=claimed) if info else None
                if info is None:
                    yield Outcome(record, State.GONE, deleted=True)
                elif outcome is not None:
                    yield outcome
                elif late or lasting[record.name] >= _LAST_TRIES:
                    yield Outcome(record, State.STUCK, why or "the engine says deleted, and lists it still")
                else:
                    again.append(record)
            if not again:
                return
            left = again
            self._clock.sleep(pause)

    def _delete_one(self, name: str, deadline: float) -> Failure | None:
        """Delete one machine, waiting out that the engine is busy; return how it failed, if it did."""
        refused = ""
        for pause in pauses():
            try:
                self._provider.delete(name, timeout=max(0.1, deadline - self._clock.monotonic()))
            except Busy as exc:
                refused = str(exc)
                if self._clock.monotonic() + pause > deadline:
                    return Failure(refused, passing=True)
            except ProviderError as exc:
                if refused and self._clock.monotonic() >= deadline:
                    # That there was no time left for one more try is not why it is still there.
                    return Failure(refused, passing=True)
                return Failure(str(exc), passing=exc.retryable or isinstance(exc, EngineUnavailable))
            except Exception as exc:  # a backend's defect must not keep the other machines alive
                return Failure(f"{type(exc).__name__}: {exc}", passing=False)
            else:
                return None
            self._clock.sleep(pause)
        raise AssertionError("pauses are without end")


def undone(record: Record) -> State:
    """The state of a machine that could not be dealt with."""
    return State.MAYBE if record.state in (State.WANTED, State.MAYBE) else State.STUCK
