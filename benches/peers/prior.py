"""Our prior beside PyTorch: same weights, same tokens, in turn.

    cargo build --release -p bsq-benches --bin ours_prior
    target/peers-venv/bin/python benches/peers/prior.py --ours target/release/ours_prior

Tokens per second teacher-forced and cached, of the paper's shape with random weights, on tiles
of few tokens. run.sh makes the virtual environment.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy

from compare import PAUSE, PYTHON, Implementation

HERE = Path(__file__).resolve().parent
# Of the bits of a tile: f32 implementations; weights rounded to bf16 and 8 bits.
EXACT, ROUNDED = 1e-4, 2e-2


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ours", required=True, help="the program `ours_prior`")
    parser.add_argument("--model", default=str(HERE / "../../models/configs/prior_paper.toml"))
    parser.add_argument("--side", type=int, default=8)
    parser.add_argument("--rows", type=int, default=8, help="fewer are less work for PyTorch only")
    parser.add_argument("--batches", default="1,16")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    for variable in ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"]:
        os.environ[variable] = str(options.threads)
    print("| pass | batch | | median, s | tokens/s | times ours | bits of a tile |")
    print("|---|---|---|---|---|---|---|")
    for batch in options.batches.split(","):
        with tempfile.TemporaryDirectory() as folder:
            sizes = [str(options.side), str(options.rows), batch]
            write = [options.ours, folder, "write", options.model]
            subprocess.run(write + sizes, check=True)
            for which in ["teacher-forced", "cached"]:
                measure(folder, which, int(batch), options)


def measure(folder, which, batch, options):
    serve = [options.ours, folder, "serve", which]
    torch = PYTHON + [str(HERE / "prior_worker.py"), folder, which, "--threads", str(options.threads)]
    implementations = [Implementation(f"bsq, weights {kept}", serve + [kept], kept == "f32")
                   for kept in ["f32", "bf16", "u8"]]
    implementations += [Implementation(f"PyTorch {mode}", torch + ["--mode", mode], mode == "f32")
                    for mode in ["f32", "bf16"]]
    ours = None
    for implementation in implementations:
        implementation.ask("run")
        bits = implementation.results(folder)["bits"].astype(numpy.float64)
        ours = bits if ours is None else ours
        error = float(numpy.abs(bits / ours - 1).max())
        if not error <= (EXACT if implementation.exact else ROUNDED):
            sys.exit(f"{implementation.name} does not compute what we do: {bits} instead of {ours}")
        implementation.difference = f"{bits[0]:.1f}"
    for number in range(options.rounds):
        first = number % len(implementations)
        for implementation in implementations[first:] + implementations[:first]:
            time.sleep(PAUSE)
            implementation.times.append(implementation.ask("run")["seconds"])
    for implementation in implementations:
        implementation.quit()
    base = statistics.median(implementations[0].times)
    tokens = batch * options.rows * options.side
    for implementation in implementations:
        median = statistics.median(implementation.times)
        print(f"| {which} | {batch} | {implementation.name} | {median:.3f} | {tokens / median:.1f} "
              f"| {median / base:.2f} | {implementation.difference} |", flush=True)


if __name__ == "__main__":
    main()
