"""Calls in a child process that can be killed, for code that no limit inside a process can stop.

A stall inside C holds the interpreter's lock, and a crash takes its process along: `Worker` makes
either cost one call. The child is a new interpreter that imports only what the called functions
need. It is not a child of multiprocessing, because those import the parent's main module again,
which inside a Ray worker or a test runner takes seconds. It talks over a socket of its own and
starts with the first call, and again with the first call after one that ended badly.

Covered: endless C calls, crashes, `os._exit`, memory beyond a limit. A child whose parent was
killed ends by itself: at its next read, or when its alarm rings. Not covered: what the call does
to files and the network.
"""

import json
import pickle
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from traceback import format_exception
from types import TracebackType
from typing import Self, TypeVar

_DEFAULT_MEMORY = 4 * 2**30
_START_SECONDS = 60.0
_ORPHAN_SECONDS = 5.0
_CHILD = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from tinysql.sql.worker import serve; serve(int(sys.argv[2]), int(sys.argv[3]))"
)

Answer = TypeVar("Answer")


class WorkerTimeout(Exception):
    """The call took longer than it may; its process was killed."""


class WorkerDied(Exception):
    """The process ended during the call: a crash, or killed from outside, as for its memory."""


class Worker:
    """A process for one call at a time, from one thread; use it as a context manager.

    Args:
        max_memory: bytes of address space of the child (RLIMIT_AS), its libraries included.
    """

    def __init__(self, *, max_memory: int = _DEFAULT_MEMORY) -> None:
        self._max_memory = max_memory
        self._child: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None
        self._imported: set[bytes] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the child, if there is one; a later call starts another."""
        if self._connection is not None:
            self._connection.close()
        if self._child is not None:
            self._child.kill()
            self._child.wait()
        self._connection = self._child = None
        self._imported = set()

    def call(self, function: Callable[..., Answer], *args: object, timeout: float) -> Answer:
        """What the function returns, or raises, in the child.

        Args:
            function: one that pickles, so defined in a module that the child can import.
            timeout: seconds; starting the child and importing the function do not count.

        Raises:
            WorkerTimeout, WorkerDied: the call did not end by itself; the next one may.
            MemoryError: the function needs more than the child may have.
            RuntimeError: the child does not start.
        """
        if self._child is not None and self._child.poll() is not None:
            self.close()  # it was killed while it had nothing to do
        reference = pickle.dumps(function)
        if self._connection is None or reference not in self._imported:
            self._exchange(pickle.loads, (reference,), _START_SECONDS)
            self._imported.add(reference)
        return self._exchange(function, args, timeout)

    def _exchange(
        self, function: Callable[..., Answer], args: Sequence[object], timeout: float
    ) -> Answer:
        message = pickle.dumps((function, args, timeout))
        connection = self._connection or self._start()
        try:
            connection.send_bytes(message)
            if not connection.poll(timeout):
                raise WorkerTimeout(f"the call took over {timeout:g} s")
            reply = connection.recv_bytes()
        except (EOFError, OSError) as error:
            raise WorkerDied(f"the worker process ended: {self._ending()}") from error
        except BaseException:
            self.close()  # an answer that comes too late must not be taken for the next call's
            raise
        is_error, value = pickle.loads(reply)
        if is_error:
            raise value
        return value

    def _start(self) -> Connection:
        self._connection, theirs = Pipe()
        with theirs:
            self._child = subprocess.Popen(
                [sys.executable, "-c", _CHILD, json.dumps(sys.path), str(theirs.fileno()),
                 str(self._max_memory)],
                pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL,
            )  # fmt: skip
        try:
            if self._connection.poll(_START_SECONDS):
                self._connection.recv_bytes()
                return self._connection
            ending = "no answer"
        except (EOFError, OSError):
            ending = self._ending()
        self.close()
        raise RuntimeError(f"the worker process does not start: {ending}")

    def _ending(self) -> str:
        """How the child ended; it is over, or about to be."""
        assert self._child is not None
        try:
            code = self._child.wait(_ORPHAN_SECONDS)
        except subprocess.TimeoutExpired:
            return "its connection broke"
        finally:
            self.close()
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def serve(descriptor: int, max_memory: int) -> None:
    """Answer calls until the parent closes the connection; only a Worker's child runs this."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a crash writes no file
    resource.setrlimit(resource.RLIMIT_AS, (max_memory, max_memory))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    connection = Connection(descriptor)
    connection.send_bytes(b"ready")
    while True:
        try:
            message = connection.recv_bytes()
        except (EOFError, OSError):
            return
        connection.send_bytes(_reply(message))


def _reply(message: bytes) -> bytes:
    """The pickled outcome of a call: whether it raised, and what it returned or raised."""
    try:
        function, args, timeout = pickle.loads(message)
        # The parent kills first, if it still lives; the alarm ends this process even inside C.
        signal.setitimer(signal.ITIMER_REAL, timeout + _ORPHAN_SECONDS)
        try:
            return pickle.dumps((False, function(*args)))
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except Exception as error:
        return _pickled(error)


def _pickled(error: Exception) -> bytes:
    """The error as the parent can raise it: itself, or its words where it does not unpickle."""
    error.add_note(f"In the worker process:\n{''.join(format_exception(error))}")
    try:
        reply = pickle.dumps((True, error))
        pickle.loads(reply)
        return reply
    except Exception:
        return pickle.dumps((True, RuntimeError(f"{type(error).__name__}: {error}")))
