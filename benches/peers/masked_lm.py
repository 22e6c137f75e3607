"""Our masked language model beside PyTorch: same weights, same inputs, in turn.

    cargo build --release -p bsq-benches --bin ours_masked_lm
    target/peers-venv/bin/python benches/peers/masked_lm.py --ours target/release/ours_masked_lm

One step of a sampler with guidance, so twice as many sequences as pictures, with random weights. A picture takes
as many steps as its sampler has. run.sh makes the virtual environment.
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
CONFIGS = HERE / "../../models/configs"
# Of the largest probability.
AGREEMENT = 1e-4


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ours", required=True, help="the program `ours_masked_lm`")
    parser.add_argument("--models", default="fashion_masked_lm,masked_lm_paper")
    parser.add_argument("--batches", default="1,64")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=12, help="of the sampler, for pictures per second")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    for variable in ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"]:
        os.environ[variable] = str(options.threads)
    print(f"| model | batch | | median of a step, s | pictures/s, {options.steps} steps | times ours |")
    print("|---|---|---|---|---|---|")
    for model in options.models.split(","):
        for batch in options.batches.split(","):
            with tempfile.TemporaryDirectory() as folder:
                config = str(CONFIGS / f"{model}.toml")
                subprocess.run([options.ours, folder, "write", config, batch], check=True)
                measure(folder, model, int(batch), options)


def measure(folder, model, batch, options):
    torch = PYTHON + [str(HERE / "masked_lm_worker.py"), folder, "--threads", str(options.threads)]
    implementations = [
        Implementation("bsq", [options.ours, folder, "serve"], True),
        Implementation("PyTorch", torch, True),
        Implementation("PyTorch, torch.compile", torch + ["--compile"], True),
    ]
    ours = None
    for implementation in implementations:
        implementation.ask("run")
        found = implementation.results(folder)["probabilities"].astype(numpy.float64)
        ours = found if ours is None else ours
        error = float(numpy.abs(found - ours).max() / ours.max())
        if not error <= AGREEMENT:
            sys.exit(f"{implementation.name} does not compute what we do: {error} apart")
    for number in range(options.rounds):
        first = number % len(implementations)
        for implementation in implementations[first:] + implementations[:first]:
            time.sleep(PAUSE)
            implementation.times.append(implementation.ask("run")["seconds"])
    for implementation in implementations:
        implementation.quit()
    base = statistics.median(implementations[0].times)
    for implementation in implementations:
        median = statistics.median(implementation.times)
        rate = batch / (median * options.steps)
        print(f"| {model} | {batch} | {implementation.name} | {median:.4f} | {rate:.2f} "
              f"| {median / base:.2f} |", flush=True)


if __name__ == "__main__":
    main()
