#!/usr/bin/env python3
"""Our clips beside libx264's and libx265's: bits per pixel and PSNR.

    cargo build --release
    python3 benches/clips.py CLIP [--frames N] [--predicted CODEC]

Needs ffmpeg with both encoders. The peers are run as in the BSQ-ViT paper: preset medium, no
B-frames, 4:2:0; rates are those of raw streams. Ours are whole .bsq files, and each frame for itself with
--group 1. PSNR is of RGB as ffmpeg makes it of 4:2:0, the mean over frames.
"""

import argparse
import json
import math
import os
import subprocess
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
BSQ = os.path.join(HERE, "..", "target", "release", "bsq")
STEPS = [20, 40, 80, 160]
RATES = [22, 27, 32, 37]


def run(*command):
    return subprocess.run([str(x) for x in command], check=True, capture_output=True, text=True).stdout


def ffmpeg(*arguments):
    return run("ffmpeg", "-v", "error", "-y", *arguments)


def psnr(original, found):
    """The mean over frames."""
    graph = "[0:v]format=gbrp[a];[1:v]format=gbrp[b];[a][b]psnr=stats_file=-"
    said = run("ffmpeg", "-v", "error", "-i", original, "-i", found, "-lavfi", graph, "-f", "null", "/dev/null")
    values = [word.split(":")[1] for line in said.splitlines() for word in line.split() if word.startswith("psnr_avg")]
    values = [100.0 if value == "inf" else float(value) for value in values]
    return sum(values) / len(values), len(values)


def ours(original, folder, step, group, predicted):
    stream, back = os.path.join(folder, "a.bsq"), os.path.join(folder, "a.y4m")
    extra = ["--predicted", predicted] if predicted else []
    said = run(BSQ, "encode", original, "-o", stream, "--step", step, "--group", group, "--json", *extra)
    run(BSQ, "decode", stream, "-o", back, *extra)
    clip = json.loads(said)["clips"][0]
    return os.path.getsize(stream), back, clip["seconds"]


def peer(original, folder, codec, rate):
    name = {"libx264": "h264", "libx265": "hevc"}[codec]
    stream, back = os.path.join(folder, "a." + name), os.path.join(folder, "b.y4m")
    tune = ["-bf", "0"] if codec == "libx264" else ["-x265-params", "bframes=0:log-level=error"]
    ffmpeg("-i", original, "-c:v", codec, "-crf", rate, "-preset", "medium", *tune, "-pix_fmt", "yuv420p", "-f", name, stream)
    ffmpeg("-i", stream, back)
    return os.path.getsize(stream), back, None


def at(points, decibels):
    """The rate of a curve at a PSNR, between its points on a logarithmic scale."""
    points = sorted((quality, rate) for rate, quality in points)
    for (low, low_rate), (high, high_rate) in zip(points, points[1:]):
        if low <= decibels <= high:
            part = (decibels - low) / (high - low)
            return math.exp(math.log(low_rate) * (1 - part) + math.log(high_rate) * part)
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clip")
    parser.add_argument("--frames", type=int, default=0)
    parser.add_argument("--predicted")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        original = os.path.join(folder, "original.y4m")
        limit = ["-frames:v", arguments.frames] if arguments.frames else []
        ffmpeg("-i", arguments.clip, *limit, "-an", "-pix_fmt", "yuv420p", original)
        header = open(original, "rb").readline().split()
        width, height = [int(header[i][1:]) for i in (1, 2)]
        ways = [("bsq", lambda x: ours(original, folder, x, 64, arguments.predicted), STEPS),
                ("bsq, frame by frame", lambda x: ours(original, folder, x, 1, None), STEPS),
                ("x264", lambda x: peer(original, folder, "libx264", x), RATES),
                ("x265", lambda x: peer(original, folder, "libx265", x), RATES)]
        curves = {}
        print("| codec | setting | bits per pixel | PSNR, dB |")
        print("|---|---|---|---|")
        for name, encode, settings in ways:
            for setting in settings:
                size, back, _ = encode(setting)
                quality, frames = psnr(original, back)
                rate = 8 * size / (frames * width * height)
                curves.setdefault(name, []).append((rate, quality))
                print(f"| {name} | {setting} | {rate:.4f} | {quality:.2f} |", flush=True)
        print()
        own = curves.pop("bsq")
        for name, points in curves.items():
            ratios = [(rate / other, quality) for rate, quality in own if (other := at(points, quality))]
            words = ", ".join(f"{ratio:.2f} at {quality:.1f} dB" for ratio, quality in ratios)
            print(f"Our rate over that of {name} at equal PSNR: {words}")


if __name__ == "__main__":
    main()
