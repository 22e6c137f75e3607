"""Our masked language model beside PyTorch: same weights, same inputs, in turn.

    cargo build --release -p bsq-benches --bin ours_masked_lm
    target/peers-venv/bin/python benches/peers/masked_lm.py --ours target/release/ours_masked_lm

One step of a sampler with guidance, so twice as many sequences as pictures, with random weights. A picture takes
as many steps as its sampler has. run.sh makes the virtual environment.
"""

import argparse
import subprocess
import tempfile
from pathlib import Path

from turns import PYTHON, Implementation, add_arguments, check, relative, take_turns, tell_threads

HERE = Path(__file__).resolve().parent
CONFIGS = HERE / "../../models/configs"
# Of the largest probability.
AGREEMENT = 1e-4


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_arguments(parser, "ours_masked_lm", 5)
    parser.add_argument("--models", default="fashion_masked_lm,masked_lm_paper")
    parser.add_argument("--batches", default="1,64")
    parser.add_argument("--steps", type=int, default=12, help="of the sampler, for pictures per second")
    options = parser.parse_args()
    tell_threads(options.threads)
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
    def error(ours, found):
        return relative(ours["probabilities"], found["probabilities"])

    check(implementations, folder, error, AGREEMENT)
    take_turns(implementations, options.rounds)
    base = implementations[0].median
    for implementation in implementations:
        median = implementation.median
        rate = batch / (median * options.steps)
        print(f"| {model} | {batch} | {implementation.name} | {median:.4f} | {rate:.2f} "
              f"| {median / base:.2f} |", flush=True)


if __name__ == "__main__":
    main()
