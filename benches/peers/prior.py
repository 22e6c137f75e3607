"""Our prior beside PyTorch: same weights, same tokens, in turn.

    cargo build --release -p bsq-benches --bin ours_prior
    target/peers-venv/bin/python benches/peers/prior.py --ours target/release/ours_prior

Tokens per second teacher-forced and cached, of the paper's shape with random weights, on tiles
of few tokens. run.sh makes the virtual environment.
"""

import argparse
import subprocess
import tempfile
from pathlib import Path

import numpy

from turns import PYTHON, Implementation, add_arguments, check, take_turns, tell_threads

HERE = Path(__file__).resolve().parent
# Of the bits of a tile: f32 implementations; weights rounded to bf16 and 8 bits.
EXACT, ROUNDED = 1e-4, 2e-2


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_arguments(parser, "ours_prior", 5)
    parser.add_argument("--model", default=str(HERE / "../../models/configs/prior_paper.toml"))
    parser.add_argument("--side", type=int, default=8)
    parser.add_argument("--rows", type=int, default=8, help="fewer are less work for PyTorch only")
    parser.add_argument("--batches", default="1,16")
    options = parser.parse_args()
    tell_threads(options.threads)
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
    def error(ours, found):
        return float(numpy.abs(found["bits"].astype(numpy.float64) / ours["bits"] - 1).max())

    results = check(implementations, folder, error, lambda i: EXACT if i.exact else ROUNDED)
    take_turns(implementations, options.rounds)
    base = implementations[0].median
    tokens = batch * options.rows * options.side
    for implementation, found in zip(implementations, results):
        median = implementation.median
        print(f"| {which} | {batch} | {implementation.name} | {median:.3f} | {tokens / median:.1f} "
              f"| {median / base:.2f} | {found['bits'][0]:.1f} |", flush=True)


if __name__ == "__main__":
    main()
