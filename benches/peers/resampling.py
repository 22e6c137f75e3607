"""Our pools, resizes and normalisations beside PyTorch's: same pictures, in turn.

    cargo build --release -p bsq-benches --bin ours_resampling
    target/peers-venv/bin/python benches/peers/resampling.py --ours target/release/ours_resampling

Each forward, and with the gradient by the pictures. run.sh makes the virtual environment.
"""

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

from turns import PYTHON, Implementation, add_arguments, check, relative, take_turns, tell_threads

HERE = Path(__file__).resolve().parent
# Of the greatest magnitude.
AGREEMENT = 1e-5


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_arguments(parser, "ours_resampling", 25)
    parser.add_argument("--batch", default="8")
    options = parser.parse_args()
    tell_threads(options.threads)
    cases = json.loads(subprocess.check_output([options.ours, "cases"]))
    print("| case | pass | median: bsq, ms | PyTorch, ms | times ours | least: bsq, ms | PyTorch, ms | times ours |")
    print("|---|---|---|---|---|---|---|---|")
    for case in cases:
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([options.ours, folder, "write", case, options.batch], check=True)
            for which in ["forward", "both"]:
                measure(folder, case, which, options)


def measure(folder, case, which, options):
    torch = PYTHON + [str(HERE / "resampling_worker.py"), folder, which]
    ours, theirs = implementations = [
        Implementation("bsq", [options.ours, folder, "serve", case, options.batch, which], True),
        Implementation("PyTorch", torch + ["--threads", str(options.threads)], True),
    ]

    def error(a, b):
        # A result that is missing agrees with nothing.
        return max(relative(a[name], b[name]) for name in a) if a.keys() == b.keys() else float("inf")

    check(implementations, folder, error, AGREEMENT)
    take_turns(implementations, options.rounds)
    medians = [1e3 * implementation.median for implementation in implementations]
    least = [1e3 * min(implementation.times) for implementation in implementations]
    print(f"| {case} | {which} | {medians[0]:.2f} | {medians[1]:.2f} | {medians[1] / medians[0]:.2f} "
          f"| {least[0]:.2f} | {least[1]:.2f} | {least[1] / least[0]:.2f} |", flush=True)


if __name__ == "__main__":
    main()
