"""Our convolutions beside PyTorch's: same pictures, same weights, in turn.

    cargo build --release -p bsq-benches --bin ours_convolutions
    target/peers-venv/bin/python benches/peers/convolutions.py --ours target/release/ours_convolutions

All convolutions of VGG16 and of a discriminator on 64 x 64 pixels, one after the other: forward, and the
gradients by pictures and by weights; ours in f32 and, with `--precision f32,bf16`, as trainings in bf16 have them
(then `--peers ""` leaves PyTorch out). run.sh makes the virtual environment.
"""

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

from turns import PYTHON, Implementation, add_arguments, check, relative, take_turns, tell_threads

HERE = Path(__file__).resolve().parent
# Of the greatest magnitude: forward passes, and gradients.
AGREEMENT = {"forward": 1e-5, "input": 1e-5, "weight": 1e-4}
# The same of products of numbers of 8 bits.
IN_BF16 = 1e-2


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_arguments(parser, "ours_convolutions", 9)
    parser.add_argument("--networks", default="vgg16,discriminator")
    parser.add_argument("--batches", default="1,8")
    parser.add_argument("--precision", default="f32")
    parser.add_argument("--peers", default="torch")
    options = parser.parse_args()
    tell_threads(options.threads)
    print("| network | batch | pass | | median, ms | times ours | least CPU time, ms | GFLOP/s | times ours |")
    print("|---|---|---|---|---|---|---|---|---|")
    for network in options.networks.split(","):
        for batch in options.batches.split(","):
            with tempfile.TemporaryDirectory() as folder:
                subprocess.run([options.ours, folder, "write", network, batch], check=True)
                for which in AGREEMENT:
                    measure(folder, network, batch, which, options)


def measure(folder, network, batch, which, options):
    torch = PYTHON + [str(HERE / "convolutions_worker.py"), folder, which]
    ours = [options.ours, folder, "serve", which]
    implementations = [
        Implementation(f"bsq, {format}", ours + [format], format == "f32")
        for format in options.precision.split(",")
    ]
    if "torch" in options.peers.split(","):
        command = torch + ["--threads", str(options.threads)]
        implementations.append(Implementation("PyTorch", command, True))

    def error(ours, found):
        # A layer that is missing agrees with nothing.
        same = ours.keys() == found.keys()
        return max(relative(ours[layer], found[layer]) for layer in ours) if same else float("inf")

    def allowed(implementation):
        return AGREEMENT[which] if implementation.exact else IN_BF16

    check(implementations, folder, error, allowed)
    take_turns(implementations, options.rounds)
    flops = json.loads((Path(folder) / "network.json").read_text())["flops"]
    base, best = implementations[0].median, min(implementations[0].cpu_times)
    for implementation in implementations:
        median, cpu = implementation.median, min(implementation.cpu_times)
        print(f"| {network} | {batch} | {which} | {implementation.name} | {1e3 * median:.1f} "
              f"| {median / base:.2f} | {1e3 * cpu:.1f} | {flops / cpu / 1e9:.0f} "
              f"| {cpu / best:.2f} |", flush=True)


if __name__ == "__main__":
    main()
