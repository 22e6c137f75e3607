"""The whole recipe of training beside PyTorch: same weights, same pictures, in turn.

    cargo build --release -p bsq-benches --bin ours_recipe
    target/peers-venv/bin/python benches/peers/recipe.py --ours target/release/ours_recipe \\
        --lpips vgg16_lpips.safetensors --pictures FOLDER

A step is the tokenizer's (L1, LPIPS with VGG16, a discriminator with the adaptive weight, the quantizer's
loss; AdamW and a moving average), then the discriminator's (AdamW), with R1 or without. run.sh makes the virtual
environment; docs/recipe.md says where weights of LPIPS come from.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy
from safetensors.numpy import load_file

from turns import PYTHON, Implementation, add_arguments, take_turns, tell_threads

HERE = Path(__file__).resolve().parent
# How far results may be from PyTorch's in f64, or as far as PyTorch's in f32 are, up to ten times as far: a vector's
# difference, of its length. Gradients are first moments behind the step; a penalised one has second
# derivatives. Where a gradient is rounding alone, AdamW's first step goes as far as elsewhere, in either
# direction.
ALLOWED = {"values": 1e-5, "averages": 1e-6, "changes of weights": 2e-2, "norms of gradients": 1e-5}
GRADIENTS = {"plain": 1e-4, "penalised": 1e-3}
NETWORKS = ["discriminator.", ""]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_arguments(parser, "ours_recipe", 7)
    parser.add_argument("--lpips", required=True, help="weights of LPIPS with VGG16, safetensors")
    parser.add_argument("--pictures", required=True, help="a folder; the first batch is taken")
    parser.add_argument("--config", default=str(HERE / "recipe.toml"))
    parser.add_argument("--steps", default=",".join(GRADIENTS))
    options = parser.parse_args()
    tell_threads(options.threads)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        write = [options.ours, folder, "write", options.config, options.pictures]
        subprocess.run(write, check=True)
        for step in options.steps.split(","):
            rows += measure(folder, step, options)
    print("| step | | median, s | times ours | least CPU time, s | times ours | memory, GB |")
    print("|---|---|---|---|---|---|---|")
    print("\n".join(rows))


def measure(folder, step, options):
    torch = PYTHON + [str(HERE / "recipe_worker.py"), folder, options.lpips, step]
    torch += ["--threads", str(options.threads)]
    implementations = [
        Implementation("bsq", [options.ours, folder, "serve", options.lpips, step], True),
        Implementation("PyTorch", torch, True),
        Implementation("PyTorch, channels last", [*torch, "--channels-last"], True),
    ]
    planned = implementations[0].about["planned_bytes"] / 1e9
    print(f"{step}: {planned:.2f} GB are planned")
    start = load_file(f"{folder}/weights.safetensors")
    judge = load_file(f"{folder}/discriminator.safetensors")
    start |= {f"discriminator.{name}": weight for name, weight in judge.items()}
    double = Implementation("PyTorch f64", [*torch, "--double"], True)
    found = [run_once(implementation, folder) for implementation in [double, *implementations]]
    double.quit()
    ours, *theirs = (differences(start, found[0], other) for other in found[1:])
    for other in theirs:
        agree(step, ours, other)
    take_turns(implementations, options.rounds)
    base, least = implementations[0].median, min(implementations[0].cpu_times)
    for implementation in implementations:
        median, cpu = implementation.median, min(implementation.cpu_times)
        memory = implementation.about["peak_bytes"] / 1e9
        yield (
            f"| {step} | {implementation.name} | {median:.3f} | {median / base:.2f} | {cpu:.3f} "
            f"| {cpu / least:.2f} | {memory:.2f} |"
        )


def run_once(implementation, folder):
    implementation.ask("run")
    return implementation.results(folder)


def agree(step, ours, theirs):
    """Ends the program if ours are further away than is allowed, or PyTorch's in f32 than ten times that."""
    allowed = ALLOWED | {"gradients": GRADIENTS[step]}
    wrong = []
    for kind, (far, where) in ours.items():
        peer = theirs[kind][0]
        print(f"  {kind}: {far:.1e} from f64 ({where}); PyTorch in f32 {peer:.1e}", flush=True)
        if not far <= max(allowed[kind], peer) or not peer <= 10 * allowed[kind]:
            wrong.append(kind)
    if wrong:
        sys.exit(f"PyTorch does not compute what we do: {', '.join(wrong)}")


def differences(start, exact, found):
    """The greatest difference of each kind, and of what."""
    missing = [name for name in exact if name not in found]
    missing += [name for name in start if name not in exact or f"exp_avg.{name}" not in exact]
    if missing:
        sys.exit(f"not on both sides: {', '.join(missing)}")
    worst = {}

    def add(kind, far, name):
        # Not a number is far from everything.
        far = far if numpy.isfinite(far) else float("inf")
        worst[kind] = max(worst.get(kind, (0.0, "")), (far, name))

    for name, value in exact.items():
        if name in start:
            add("changes of weights", apart(value - start[name], found[name] - start[name]), name)
        elif name.startswith("exp_avg."):
            add("gradients", apart(value, found[name]), name)
        elif not name.startswith("ema."):
            add("values", apart(value, found[name]), name)
    averages = [name for name in exact if name.startswith("ema.")]
    add("averages", apart(*(joined(of, averages) for of in (exact, found))), "all")
    left = [name for name in exact if name.startswith("exp_avg.")]
    for network in NETWORKS:
        own = [name for name in left if name.startswith(f"exp_avg.{network}")]
        left = [name for name in left if name not in own]
        norms = [numpy.linalg.norm(joined(of, own)) for of in (exact, found)]
        add("norms of gradients", apart(*norms), network or "tokenizer.")
    return worst


def joined(results, names):
    return numpy.concatenate([results[name].ravel().astype(numpy.float64) for name in names])


def apart(a, b):
    """How long the difference of two vectors is, of the length of the first."""
    a, b = (numpy.ravel(x).astype(numpy.float64) for x in (a, b))
    return float(numpy.linalg.norm(a - b) / numpy.linalg.norm(a))


if __name__ == "__main__":
    main()
