"""One writer at a time: a lease object kept alive by a heartbeat, taken over by conditional writes.

The record names its owner and a fencing number that rises with every owner and never repeats: a
released lease stays, marked. Machines' clocks are never compared. A waiter calls a lease abandoned
when its tag did not change for ttl seconds of the waiter's own monotonic clock; the owner counts
from before its last successful renewal, so it stops first. When owner and waiter share machine,
boot and pid namespace and that process is gone, the waiter takes over at once. The namespace
matters: containers of one pod share the hostname and cannot see each other's pids.

Losing the lease sends the main thread SIGINT, so that blocking calls stop; hold() turns whatever
that raises into LeaseLost. Even an owner that never notices is harmless: attempts write to their
own keys and the manifest is created only if absent.
"""

import json
import logging
import os
import platform
import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from cluster.backends import Tagged
from cluster.errors import IntegrityError, LeaseLost
from cluster.metrics import LEASES_LOST, LEASES_TAKEN_OVER, count
from cluster.store import Store

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LeaseRecord:
    """What the lease object holds. No times: nobody else could compare them with anything."""

    owner: str
    fence: int
    machine: str
    pid: int
    process_start: int | None
    ttl: float
    beat: int = 0
    released: bool = False

    def encode(self) -> bytes:
        return json.dumps(asdict(self), sort_keys=True).encode()

    def describe(self) -> str:
        return f"{self.machine.split()[0]} pid {self.pid} (fence {self.fence})"


class Lease:
    """A lease this process owns; the heartbeat runs from start() to release().

    fence is higher than that of every earlier owner. claimed is the monotonic time just before
    the claim was written.
    """

    def __init__(self, store: Store, key: str, record: LeaseRecord, claimed: float) -> None:
        self.fence = record.fence
        self._store = store
        self._key = key
        self._record = record
        self._renewed = claimed
        self._lost: str | None = None
        self._guard = threading.Lock()
        self._stop = threading.Event()
        self._interrupts = threading.current_thread() is threading.main_thread()
        self._threads: list[threading.Thread] = []

    @property
    def lost(self) -> bool:
        """True once this process may no longer act as the owner."""
        if not self._stop.is_set() and self._silence() > self._record.ttl:
            self._lose(f"no heartbeat reached the store for {self._record.ttl:g} s")
        return self._lost is not None

    def check(self) -> None:
        """Raises LeaseLost when the lease is not ours anymore."""
        if self.lost:
            raise LeaseLost(f"lease {self._key} fence {self.fence}: {self._lost}")

    def start(self, beat: float) -> None:
        # Each in a copy of this context, whose ids their logs have then.
        self._threads = [
            threading.Thread(target=copy_context().run, args=work, daemon=True)
            for work in ((self._renew_forever, beat), (self._watch,))
        ]
        for thread in self._threads:
            thread.start()

    def release(self) -> None:
        """Marks the lease free, keeping its fencing number, if it is still ours."""
        # The heartbeat stops first, so that it cannot mistake the release for a loss.
        lost = self.lost
        with self._guard:
            self._stop.set()
        if lost:
            return
        for thread in self._threads:
            thread.join()
        try:
            current = self._store.read_tagged(self._key)
            if current is not None and _decode(current, self._key).owner == self._record.owner:
                final = replace(self._record, released=True)
                self._store.replace(self._key, final.encode(), current.tag)
        except OSError as error:
            # The work is done; an unreleased lease only makes the next owner wait.
            _log.warning("lease %s could not be released: %s", self._key, error)

    def _renew_forever(self, beat: float) -> None:
        while not self._stop.wait(beat) and self._lost is None:
            try:
                self._renew()
            except (OSError, IntegrityError) as error:
                _log.warning("lease %s: heartbeat failed, trying again: %s", self._key, error)

    def _renew(self) -> None:
        started = time.monotonic()
        current = self._store.read_tagged(self._key)
        if current is None:
            self._lose("the lease object was deleted")
            return
        holder = _decode(current, self._key)
        if holder.owner != self._record.owner:
            self._lose(f"taken over by {holder.describe()}")
            return
        self._record = replace(self._record, beat=self._record.beat + 1)
        if self._store.replace(self._key, self._record.encode(), current.tag):
            self._renewed = started

    def _watch(self) -> None:
        # A thread of its own: a heartbeat stuck in a dead connection cannot watch itself.
        while not self._stop.wait(max(0.05, self._record.ttl - self._silence())) and not self.lost:
            continue

    def _silence(self) -> float:
        return time.monotonic() - self._renewed

    def _lose(self, reason: str) -> None:
        with self._guard:
            if self._lost is not None:
                return
            self._lost = reason
            count(LEASES_LOST, kind=_kind(self._key))
            _log.error("lease %s fence %d lost: %s", self._key, self.fence, reason)
            in_main = threading.current_thread() is threading.main_thread()
            # Under the guard, so that the signal cannot arrive after release().
            if self._interrupts and not in_main and not self._stop.is_set():
                # A real signal, unlike _thread.interrupt_main, also ends a blocking system call.
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


@contextmanager
def hold(
    store: Store,
    key: str,
    *,
    until: Callable[[], bool] = lambda: False,
    on_wait: Callable[[str], None] = lambda _owner: None,
    beat: float = 5.0,
    ttl: float = 20.0,
    poll: float = 1.0,
) -> Iterator[Lease | None]:
    """Waits for the lease and holds it; yields None as soon as until() says it is not needed.

    on_wait is called once with a description of the owner waited for. Seconds everywhere.
    Raises LeaseLost, in place of whatever the body raised, when the lease was lost meanwhile.
    """
    lease = _acquire(store, key, _Patience(until, on_wait, poll), ttl)
    if lease is None:
        yield None
        return
    try:
        try:
            lease.start(beat)
            yield lease
        finally:
            lease.release()
    except (Exception, KeyboardInterrupt) as error:
        if lease.lost and not isinstance(error, LeaseLost):
            raise LeaseLost(f"lease {key} fence {lease.fence} was lost") from error
        raise


def read_lease(store: Store, key: str) -> LeaseRecord | None:
    """Who has or had the lease last; None when nobody ever did."""
    current = store.read_tagged(key)
    return None if current is None else _decode(current, key)


def is_claimed(store: Store, key: str) -> bool:
    """Whether the lease has an owner that neither released it nor is known to be gone."""
    holder = read_lease(store, key)
    return holder is not None and not holder.released and not _is_gone(holder)


@dataclass(frozen=True)
class _Patience:
    until: Callable[[], bool]
    on_wait: Callable[[str], None]
    poll: float


def _acquire(store: Store, key: str, patience: _Patience, ttl: float) -> Lease | None:
    pid = os.getpid()
    mine = LeaseRecord(secrets.token_hex(8), 1, _machine(), pid, _process_start(pid), ttl)
    seen, since, waited = "", 0.0, False
    while not patience.until():
        now = time.monotonic()
        current = store.read_tagged(key)
        if current is None:
            claimed = store.create(key, mine.encode())
        else:
            holder = _decode(current, key)
            if current.tag != seen:
                # The clock is read after the reply: the holder's renewal is older than that.
                seen, since = current.tag, time.monotonic()
            if not (holder.released or _is_gone(holder) or now - since > max(ttl, holder.ttl)):
                if not waited:
                    waited = True
                    patience.on_wait(holder.describe())
                time.sleep(patience.poll)
                continue
            mine = replace(mine, fence=holder.fence + 1)
            claimed = store.replace(key, mine.encode(), current.tag)
            if claimed and not holder.released:
                count(LEASES_TAKEN_OVER, kind=_kind(key))
                _log.info("lease %s taken over from %s", key, holder.describe())
        if claimed:
            lease = Lease(store, key, mine, now)
            if not patience.until():
                return lease
            lease.release()
            return None
    return None


def _kind(key: str) -> str:
    """What it is a lease of: the first folder."""
    return key.split("/")[0]


def _decode(stored: Tagged, key: str) -> LeaseRecord:
    try:
        return LeaseRecord(**json.loads(stored.data))
    except (ValueError, TypeError) as error:
        raise IntegrityError(f"{key} is not a lease record: {error}") from error


def _machine() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{platform.node()} {boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return platform.node()  # no /proc: _process_start gives None and ttl alone decides


def _process_start(pid: int) -> int | None:
    """Clock ticks from boot to the start of a live process; None when it is gone or a zombie."""
    try:
        # The command name, in parentheses, may hold anything: count fields after the last one.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def _is_gone(holder: LeaseRecord) -> bool:
    if holder.process_start is None or holder.machine != _machine():
        return False
    try:
        os.kill(holder.pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False  # another user's live process, whose /proc entry may be hidden from us
    return _process_start(holder.pid) != holder.process_start
