"""Our block-causal tokenizer of clips beside PyTorch: same weights, same clip, in turn.

    cargo build --release -p bsq-benches --bin ours_video
    target/peers-venv/bin/python benches/peers/video.py --ours target/release/ours_video

PyTorch hides later frames in four ways: a boolean mask for scaled_dot_product_attention, the same compiled,
flex_attention with a block mask, compiled, and by hand: each frame's queries with the keys of the frames that it
sees, without a mask. run.sh makes the virtual environment.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy

from turns import PYTHON, Implementation, add_arguments, in_turn, relative, tell_threads

HERE = Path(__file__).resolve().parent
# Of the greatest value, and of a unit vector: a feature nearer to zero has no sign to agree on.
AGREEMENT = 1e-5
UNDECIDED = 1e-6
PEERS = {
    "mask": "PyTorch, SDPA with a boolean mask",
    "compiled": "the same, torch.compile",
    "flex": "PyTorch, flex_attention, torch.compile",
    "frames": "PyTorch, SDPA frame by frame",
}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_arguments(parser, "ours_video", 5)
    config = HERE / "../../models/configs/reference/bsq_128_b18.yaml"
    parser.add_argument("--model", default=str(config), help="of pictures; clips are made of it")
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--side", type=int, default=128, help="pixels along a side")
    parser.add_argument("--peers", default=",".join(PEERS))
    parser.add_argument("--programs", default="encode,decode")
    options = parser.parse_args()
    tell_threads(options.threads)
    print(f"{options.frames} frames of {options.side}x{options.side}, {options.threads} threads, "
          f"medians of {options.rounds} rounds")
    print("| program | | median, s | of all threads, s | frames/s | times ours |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        size = [str(options.frames), str(options.side)]
        subprocess.run([options.ours, folder, "write", options.model] + size, check=True)
        for program in options.programs.split(","):
            measure(folder, program, options)


def agree(program, ours, found):
    """Whether a peer computes what we do, and how far apart they are."""
    if program == "decode":
        ours, found = ours["reconstruction"].reshape(-1), found["reconstruction"].reshape(-1)
        error = relative(ours, found)
        return error <= AGREEMENT, f"pixels {error:.1e}"
    bits = ours["features"].shape[-1]
    features = [results["features"].reshape(-1, bits) for results in (ours, found)]
    error = relative(*features)
    indices = [results["indices"].reshape(-1).astype(numpy.uint64) for results in (ours, found)]
    places = numpy.arange(bits - 1, -1, -1, dtype=numpy.uint64)
    flipped = ((indices[0] ^ indices[1])[:, None] >> places) & numpy.uint64(1) == 1
    unit = features[0] / numpy.linalg.norm(features[0], axis=-1, keepdims=True)
    decided = int((flipped & (numpy.abs(unit) > UNDECIDED)).sum())
    return error <= AGREEMENT and decided == 0, f"features {error:.1e}, {int(flipped.sum())} bits"


def measure(folder, program, options):
    implementations = [Implementation("bsq", [options.ours, folder, "serve", program], True)]
    for peer in options.peers.split(","):
        command = PYTHON + [str(HERE / "video_worker.py"), folder, program, "--how", peer]
        command += ["--threads", str(options.threads)]
        implementations.append(Implementation(PEERS[peer], command, True))
    ours = None
    for implementation in implementations:
        implementation.ask("run")
        found = implementation.results(folder)
        if ours is None:
            ours = found
            continue
        agrees, said = agree(program, ours, found)
        print(f"  {implementation.name}: {said}", file=sys.stderr, flush=True)
        if not agrees:
            sys.exit(f"{implementation.name} does not compute what we do: {said}")
    for number in range(options.rounds):
        for implementation in in_turn(implementations, number):
            implementation.run()
    for implementation in implementations:
        implementation.quit()
        median, base = implementation.median, implementations[0].median
        cpu = statistics.median(implementation.cpu_times)
        print(f"| {program} | {implementation.name} | {median:.2f} | {cpu:.2f} "
              f"| {options.frames / median:.2f} | {median / base:.2f} |", flush=True)


if __name__ == "__main__":
    main()
