"""Our convolutions beside PyTorch's: same pictures, same weights, in turn.

    cargo build --release -p bsq-benches --bin ours_convolutions
    target/peers-venv/bin/python benches/peers/convolutions.py --ours target/release/ours_convolutions

All convolutions of VGG16 and of a discriminator on 64 x 64 pixels, one after the other: forward, and the
gradients by pictures and by weights. run.sh makes the virtual environment.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from compare import PAUSE, PYTHON, Implementation, relative

HERE = Path(__file__).resolve().parent
# Of the greatest magnitude: forward passes, and gradients.
AGREEMENT = {"forward": 1e-5, "input": 1e-5, "weight": 1e-4}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ours", required=True, help="the program `ours_convolutions`")
    parser.add_argument("--networks", default="vgg16,discriminator")
    parser.add_argument("--batches", default="1,8")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    for variable in ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"]:
        os.environ[variable] = str(options.threads)
    print("| network | batch | pass | | median, ms | GFLOP/s | times ours |")
    print("|---|---|---|---|---|---|---|")
    for network in options.networks.split(","):
        for batch in options.batches.split(","):
            with tempfile.TemporaryDirectory() as folder:
                subprocess.run([options.ours, folder, "write", network, batch], check=True)
                for which in AGREEMENT:
                    measure(folder, network, batch, which, options)


def measure(folder, network, batch, which, options):
    torch = PYTHON + [str(HERE / "convolutions_worker.py"), folder, which]
    implementations = [
        Implementation("bsq", [options.ours, folder, "serve", which], True),
        Implementation("PyTorch", torch + ["--threads", str(options.threads)], True),
    ]
    ours = None
    for implementation in implementations:
        implementation.ask("run")
        found = implementation.results(folder)
        ours = found if ours is None else ours
        error = max(relative(ours[layer], found[layer]) for layer in ours)
        if found.keys() != ours.keys() or not error <= AGREEMENT[which]:
            sys.exit(f"{implementation.name} does not compute what we do: {error} apart")
    for number in range(options.rounds):
        first = number % len(implementations)
        for implementation in implementations[first:] + implementations[:first]:
            time.sleep(PAUSE)
            implementation.times.append(implementation.ask("run")["seconds"])
    for implementation in implementations:
        implementation.quit()
    flops = json.loads((Path(folder) / "network.json").read_text())["flops"]
    base = statistics.median(implementations[0].times)
    for implementation in implementations:
        median = statistics.median(implementation.times)
        print(f"| {network} | {batch} | {which} | {implementation.name} | {1e3 * median:.1f} "
              f"| {flops / median / 1e9:.0f} | {median / base:.2f} |", flush=True)


if __name__ == "__main__":
    main()
