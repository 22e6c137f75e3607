#!/usr/bin/env python3
"""Gathers photographs to train on from Debian packages.

    training_pictures.py OUT [--without FOLDER ...]

Pictures are shrunk to a long side of at most 1600 pixels, which also takes away most of what JPEG
did to them, and saved as JPEG, quality 95, 4:4:4. Left out: those that look like one of the folders
given (pictures that results are measured on), and the list RESERVED. Needs apt-get, dpkg-deb, Pillow
and ImageHash. `training_pictures.md` lists what came out for the default model.
"""

import argparse
import pathlib
import subprocess
import tempfile

import imagehash
from PIL import Image, ImageOps

Image.MAX_IMAGE_PIXELS = None

PACKAGES = {
    "lomiri-wallpapers-16.04": ["*.jpg"],
    "lomiri-wallpapers-20.04": ["*.jpg"],
    "mate-backgrounds": ["nature/*.jpg", "abstract/Elephants_3840x2160.jpg"],
    "palapeli-data": ["collection/*.jpg"],
    "plasma-workspace-wallpapers": ["*/contents/images*/*.jpg", "*/contents/images*/*.png"],
    "opencv-doc": [
        "text/scenetext0[1-6].jpg", "text/scenetext_segmented_word0[1-5].jpg", "data/fruits.jpg",
        "data/baboon.jpg", "data/leuvenA.jpg", "data/ela_original.jpg", "data/squirrel_cls.jpg",
        "data/aloeL.jpg", "data/board.jpg", "data/starry_night.jpg", "data/stuff.jpg",
        "data/graf1.png", "data/building.jpg", "data/aero1.jpg", "data/aero3.jpg",
    ],
}
# Kept for judging by others.
RESERVED = [
    "Dragonfly_by_Bolly", "life_by_Aitzol_Berasategi", "picosdeeuropa_by_Aitzol_Berasategi",
    "seeding_by_Clements_Engelhardt", "YellowFlower", "ColdRipple", "FallenLeaf",
]
LONG_SIDE = 1600
# Bits of 64 that hashes of two versions of a picture differ in at most.
ALIKE = 10


def opened(path):
    return ImageOps.exif_transpose(Image.open(path)).convert("RGB")


def hashes(picture):
    """Of the picture and its mirror image."""
    return [imagehash.phash(p) for p in (picture, ImageOps.mirror(picture))]


def is_alike(picture, known):
    return any(a - b <= ALIKE for a in hashes(picture) for b in known)


def name_of(path):
    """A wallpaper of many sizes is named by its folder."""
    return path.parents[2].name if path.parent.name.startswith("images") else path.stem


def unpacked(package, folder):
    subprocess.run(["apt-get", "download", package], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    archive = next(folder.glob(f"{package}_*.deb"))
    subprocess.run(["dpkg-deb", "-x", archive, folder / package], check=True)
    return folder / package


def candidates(root, patterns):
    """The largest file of each name."""
    found = {}
    for pattern in patterns:
        for path in root.rglob("*"):
            if path.is_file() and not path.is_symlink() and path.match(pattern):
                name = name_of(path)
                if name not in found or path.stat().st_size > found[name].stat().st_size:
                    found[name] = path
    return sorted(found.items())


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--without", type=pathlib.Path, nargs="*", default=[])
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    known = []
    for folder in arguments.without:
        for path in sorted(folder.iterdir()):
            known += hashes(opened(path))[:1]
    kept = 0
    with tempfile.TemporaryDirectory() as folder:
        pictures = []
        for package, patterns in PACKAGES.items():
            root = unpacked(package, pathlib.Path(folder))
            pictures += [(package, *found) for found in candidates(root, patterns)]
        # Their hashes alone are looked at.
        known += [hashes(opened(path))[0] for _, name, path in pictures if name in RESERVED]
        for package, name, path in pictures:
            picture = opened(path)
            if name in RESERVED or is_alike(picture, known):
                print(f"{package}: {name} left out")
                continue
            known += hashes(picture)[:1]
            picture.thumbnail((LONG_SIDE, LONG_SIDE), Image.LANCZOS)
            width, height = picture.size
            picture.save(arguments.out / f"{name}.jpg", quality=95, subsampling=0)
            print(f"{package}: {name} {width}x{height}")
            kept += 1
    print(f"{kept} pictures in {arguments.out}")


main()
