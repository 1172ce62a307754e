"""Runs commands in processes that are killed at chosen moments; imports PyTorch once for all of them.

One JSON object per line comes in, one goes out. A job is {"call": "cli" or "cache", "arguments": ..., "kill": ...,
"log": file}. It runs in a forked child, which is killed as `kill` says:

    null                      not at all
    ["event", k]              before its k-th change of the file system (a file opened to be written, a rename, ...)
    ["write", n]              in the middle of writing a file, once the file has n bytes
    ["seconds", s]            after s seconds
    ["worker", k]             batch: one worker process dies before its k-th change, once; the others go on

The answer holds the exit status (negative: killed by that signal), the number of changes, the size of the largest file
that was written, and the seconds it took.

All kills are SIGKILL, but for "write": the system then stops the process with SIGXFSZ, which nothing in it handles.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import sys
import time
from pathlib import Path
from typing import Any

_CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link", "os.symlink"}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_APPEND | os.O_TRUNC | os.O_CREAT


class Watch:
    """Counts changes of the file system in this process, and ends it at one of them."""

    def __init__(self, inside: str) -> None:
        self.count = 0
        self.fatal = 0
        self.once: Path | None = None
        self.pid = os.getpid()
        self._inside = inside
        sys.addaudithook(self._see)

    def _see(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, mode, flags = arguments
            writing = (isinstance(mode, str) and set(mode) & set("wax+")) or (
                isinstance(flags, int) and flags & _WRITING
            )
            if not writing or isinstance(path, int):
                return
        elif event not in _CHANGES:
            return
        if not str(arguments[0]).startswith(self._inside):
            return
        if self.once is not None:  # workers: each counts its own, one of them dies
            if os.getpid() == self.pid:
                return
            self.count += 1
            if self.count == self.fatal:
                try:
                    os.close(os.open(self.once, os.O_CREAT | os.O_EXCL))
                except FileExistsError:
                    return
                os.kill(os.getpid(), signal.SIGKILL)
        elif os.getpid() == self.pid:
            self.count += 1
            if self.count == self.fatal:
                os.kill(os.getpid(), signal.SIGKILL)


def run_child(job: dict[str, Any], answer: int) -> int:
    """The life of a child; returns its exit status."""
    log = os.open(job["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.setpgid(0, 0)
    kind, amount = job["kill"] or (None, 0)
    watch = Watch(job["inside"])
    if kind == "event":
        watch.fatal = amount
    elif kind == "worker":
        watch.fatal, watch.once = amount, Path(job["log"] + ".once")
    elif kind == "write":
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (amount, amount))
    if job["call"] == "cache":
        from lrhdr.data.generated import GenerationConfig, build_cache

        build_cache(**job["arguments"], config=GenerationConfig(size=16, context=8, interpolator="average"))
        status = 0
    else:
        from lrhdr.cli import main

        status = main(job["arguments"])
    sys.stdout.flush()
    sys.stderr.flush()
    os.write(answer, json.dumps({"events": watch.count}).encode())
    return status


def serve() -> None:
    """Read jobs until the input ends."""
    import importlib

    import cv2
    import torch

    for name in ("lightning_fabric", "torch.utils.tensorboard"):  # what training imports when it starts
        with contextlib.suppress(ImportError):
            importlib.import_module(name)

    import lrhdr.batch
    import lrhdr.batch_manifest
    import lrhdr.batch_workers
    import lrhdr.commands.batch
    import lrhdr.data.generated
    import lrhdr.runs
    import lrhdr.training

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    # Forked workers have PyTorch already; spawned ones, as users get them, would take seconds each to import it.
    lrhdr.batch_workers.START_METHOD = "fork"
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        job = json.loads(line)
        reading, answer = os.pipe()
        started = time.monotonic()
        pid = os.fork()
        if pid == 0:
            status = 99
            try:
                os.close(reading)
                status = run_child(job, answer)
            except BaseException:
                import traceback

                traceback.print_exc()
            finally:
                os._exit(status)
        os.close(answer)
        kind, amount = job["kill"] or (None, 0)
        if kind == "seconds":
            time.sleep(amount)
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
        _, code = os.waitpid(pid, 0)
        with os.fdopen(reading, "rb") as pipe:
            told = pipe.read() if os.waitstatus_to_exitcode(code) >= 0 else b""
        found = {"status": os.waitstatus_to_exitcode(code), "seconds": time.monotonic() - started}
        print(json.dumps(found | (json.loads(told) if told else {"events": 0})), flush=True)


if __name__ == "__main__":
    serve()
