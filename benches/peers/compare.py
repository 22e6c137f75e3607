"""Ours beside PyTorch and ONNX Runtime: same model, same weights, same inputs, in turn.

    benches/peers/run.sh                    the table of the README, minutes
    benches/peers/run.sh --batches 1 --programs encode --rounds 5

Every implementation is a process of its own that runs when it is told to. For each program and batch
size all are started, their results are compared with ours, and then they take turns: one run each
per round, in another order every round, with a pause between in which spinning threads fall
asleep. Only ratios of medians of one such run mean anything.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy

from turns import PYTHON, Implementation, add_arguments, in_turn, relative, tell_threads

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
MARKERS = ("<!-- peers: start -->\n", "<!-- peers: end -->")
PROGRAMS = {"encode": "encode", "decode": "decode", "train": "training step"}
TORCH = PYTHON + [str(HERE / "torch_worker.py")]
ORT = PYTHON + [str(HERE / "ort_worker.py")]
# Name, command, whether its results must agree to f32's accuracy, whether it trains.
PEERS = [
    ("PyTorch f32", "torch", TORCH + ["--mode", "eager"], True, True),
    ("torch.compile f32", "compile", TORCH + ["--mode", "compiled"], True, True),
    ("PyTorch bf16", "bf16", TORCH + ["--mode", "bf16"], False, True),
    ("ONNX Runtime f32", "ort", ORT + ["--mode", "f32"], True, False),
    ("ONNX Runtime int8", "int8", ORT + ["--mode", "int8"], False, False),
]

# Relative to the greatest magnitude: forward passes, and first moments after one training step.
FORWARD = 1e-5
MOMENTS = 1e-4
# A feature nearer to zero than this has no sign to agree on.
UNDECIDED = 1e-6


def differences(program, ours, theirs, bits):
    """What is printed about an implementation's results, and whether f32 may be so far off."""
    if program == "encode":
        a, b = (result["indices"].astype(numpy.uint64) for result in (ours, theirs))
        places = numpy.arange(bits - 1, -1, -1, dtype=numpy.uint64)
        flipped = ((a ^ b)[..., None] >> places) & numpy.uint64(1) == 1
        features = ours["features"]
        u = features / numpy.linalg.norm(features, axis=-1, keepdims=True)
        decided = int((flipped & (numpy.abs(u) > UNDECIDED)).sum())
        error = relative(features, theirs["features"])
        said = f"{int(flipped.sum())} of {flipped.size} bits, features {error:.1e}"
        return said, error <= FORWARD and decided == 0
    if program == "decode":
        error = relative(ours["reconstruction"], theirs["reconstruction"])
        return f"pixels {error:.1e}", error <= FORWARD
    moments = [name for name in ours if name.startswith("exp_avg.")]
    loss = abs(float(ours["loss"]) / float(theirs["loss"]) - 1)
    error = max(relative(ours[name], theirs[name]) for name in moments)
    return f"loss {loss:.1e}, gradients {error:.1e}", loss <= FORWARD and error <= MOMENTS


def measure(program, batch, options, folder, about):
    names = [peer for peer in PEERS if peer[1] in options.peers]
    precisions = options.precision
    if program == "train":
        names = [peer for peer in names if peer[4]]
        # Other formats are for inference.
        precisions = ["f32"]
    rest = ["--folder", folder, "--program", program, "--batch", str(batch)]
    implementations = [
        Implementation(f"bsq {precision}", [
            str(options.ours), "--folder", folder, "serve", "--program", program,
            "--batch", str(batch), "--precision", precision,
        ], precision == "f32")
        for precision in precisions
    ]
    for name, _, command, exact, _ in names:
        print(f"  starting {name}", file=sys.stderr)
        threads = ["--threads", str(options.threads)]
        implementations.append(Implementation(name, command + rest + threads, exact))

    ours = None
    for implementation in implementations:
        implementation.ask("run")
        results = implementation.results(folder)
        if ours is None:
            ours, implementation.difference = results, "-"
            continue
        said, agrees = differences(program, ours, results, about["bits"])
        print(f"  {implementation.name}: {said}", file=sys.stderr)
        if implementation.exact and not agrees:
            sys.exit(f"{implementation.name} does not compute what we do: {said}")
        implementation.difference = said

    peaks = []
    for number in range(options.rounds + 1):
        rates = implementations[0].ask("probe")
        for implementation in in_turn(implementations, number):
            # The first round warms up.
            implementation.ask("run") if number == 0 else implementation.run()
        if number > 0:
            peaks.append(rates["gflops"])
        print(f"  round {number} of {options.rounds}", file=sys.stderr)
    for implementation in implementations:
        implementation.quit()
    flops, peak = implementations[0].about["flops"], statistics.median(peaks)
    base = implementations[0].median
    rows = []
    for implementation in implementations:
        median = implementation.median
        rows.append({
            "program": PROGRAMS[program],
            "batch": batch,
            "implementation": implementation.name,
            "version": implementation.about["version"],
            "seconds": implementation.times,
            "median": median,
            "best": min(implementation.times),
            "ratio": median / base,
            "of_peak": flops / median / 1e9 / peak,
            "peak_gflops": peak,
            "compile_seconds": implementation.about["compile_seconds"],
            "peak_bytes": implementation.about["peak_bytes"],
            "difference": implementation.difference,
        })
    return rows


def table(report):
    about = report["about"]
    versions = sorted({row["version"] for row in report["rows"]})
    lines = [
        f"{about['cpu']} ({about['family']}), {report['threads']} threads; "
        f"{', '.join(versions)}; medians of {report['rounds']} rounds in turn.",
        "",
        "| program | batch | | median, s | best, s | times ours | of FMA peak | memory, GB | differs from ours |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in report["rows"]:
        first = row["ratio"] == 1
        program, batch = (row["program"], row["batch"]) if first else ("", "")
        lines.append(
            f"| {program} | {batch} | {row['implementation']} | {row['median']:.3f} "
            f"| {row['best']:.3f} | {row['ratio']:.2f} | {100 * row['of_peak']:.0f}% "
            f"| {row['peak_bytes'] / 1e9:.1f} | {row['difference']} |"
        )
    return "\n".join(lines) + "\n"


def write_readme(text):
    path = ROOT / "README.md"
    whole = path.read_text()
    if any(marker not in whole for marker in MARKERS):
        sys.exit(f"{path} has no markers {MARKERS[0].strip()} and {MARKERS[1]}")
    head, rest = whole.split(MARKERS[0], 1)
    tail = rest.split(MARKERS[1], 1)[1]
    path.write_text(head + MARKERS[0] + text + MARKERS[1] + tail)


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )

    def words(text):
        return text.split(",")

    keys = [peer[1] for peer in PEERS]
    add_arguments(parser, "ours", 7)
    parser.add_argument(
        "--model", type=Path, default=ROOT / "models/configs/reference/bsq_256_b36g36.yaml"
    )
    parser.add_argument("--programs", type=words, default=list(PROGRAMS))
    parser.add_argument("--batches", type=words, default=["1", "4"])
    parser.add_argument(
        "--peers", type=words, default=keys, help=f"some of {','.join(keys)}; compile takes minutes"
    )
    parser.add_argument("--precision", type=words, default=["f32"], help="ours; the first is the base")
    parser.add_argument("--json", type=Path, help="where the report goes")
    parser.add_argument("--readme", action="store_true", help="write the table into README.md")
    options = parser.parse_args()
    for given, known in [(options.programs, list(PROGRAMS)), (options.peers, keys)]:
        for word in given:
            if word not in known:
                parser.error(f"{word}: not one of {', '.join(known)}")
    return options


def main():
    options = arguments()
    tell_threads(options.threads)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        batches = ",".join(options.batches)
        command = [str(options.ours), "--folder", folder, "write"]
        subprocess.run(command + ["--model", str(options.model), "--batch", batches], check=True)
        about = json.loads((Path(folder) / "model.json").read_text())
        for program in options.programs:
            for batch in options.batches:
                print(f"{PROGRAMS[program]}, batch {batch}", file=sys.stderr)
                rows += measure(program, int(batch), options, folder, about)
    report = {
        "about": about, "threads": options.threads, "rounds": options.rounds, "rows": rows,
    }
    text = table(report)
    print(text, end="")
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n")
    if options.readme:
        write_readme(text)


if __name__ == "__main__":
    main()
