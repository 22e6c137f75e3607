"""What all comparisons share: implementations as processes, results that agree, and runs in turn."""

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy
from safetensors.numpy import load_file

# Seconds between runs: longer than any implementation's threads spin.
PAUSE = 0.1
PYTHON = [sys.executable, "-u"]


class Implementation:
    """A process that answers commands: benches/src/serve.rs, worker.py."""

    def __init__(self, name, command, exact):
        self.name, self.exact = name, exact
        # Of each run: by the clock, and of all the process's threads.
        self.times, self.cpu_times = [], []
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.about = self.answer()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{self.name} ended with code {self.process.wait()}")
        return json.loads(line)

    def ask(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.answer()

    def run(self):
        taken = self.ask("run")
        self.times.append(taken["seconds"])
        self.cpu_times.append(taken["cpu_seconds"])

    def results(self, folder):
        path = Path(folder) / "results.safetensors"
        self.ask(f"save {path}")
        return load_file(path)

    def quit(self):
        # The last answer: how much memory it has had at most.
        self.about.update(self.ask("quit"))
        self.process.wait()

    @property
    def median(self):
        return statistics.median(self.times)


def relative(a, b):
    """The greatest difference, of the greatest magnitude."""
    scale = float(numpy.abs(a).max())
    difference = numpy.abs(a.astype(numpy.float64) - b.astype(numpy.float64)).max()
    # Not a number is far from everything.
    return float(difference) / scale if numpy.isfinite(difference) else float("inf")


def add_arguments(parser, ours, rounds):
    parser.add_argument("--ours", required=True, help=f"the program `{ours}`")
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))


def tell_threads(threads):
    """One number of threads for everybody, read by libraries when they start."""
    for variable in ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"]:
        os.environ[variable] = str(threads)


def check(implementations, folder, error, allowed):
    """Everybody runs once. No result may be further from the first one's than is allowed: a number, or one by
    implementation. Returns the results."""
    every = []
    for implementation in implementations:
        implementation.ask("run")
        every.append(implementation.results(folder))
        apart = error(every[0], every[-1])
        limit = allowed(implementation) if callable(allowed) else allowed
        if not apart <= limit:
            sys.exit(f"{implementation.name} does not compute what we do: {apart} apart")
    return every


def in_turn(implementations, number):
    """All of them, each after a pause; in another order in every round."""
    first = number % len(implementations)
    for implementation in implementations[first:] + implementations[:first]:
        time.sleep(PAUSE)
        yield implementation


def take_turns(implementations, rounds):
    """Everybody runs once in each round, then ends."""
    for number in range(rounds):
        for implementation in in_turn(implementations, number):
            implementation.run()
    for implementation in implementations:
        implementation.quit()
