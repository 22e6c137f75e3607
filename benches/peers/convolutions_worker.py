"""All convolutions of a network in PyTorch, forward or one of their gradients."""

import argparse
import json

import torch
import torch.nn.functional as F
from safetensors.torch import load_file

import worker


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("which", choices=["forward", "input", "weight"])
    parser.add_argument("--threads", type=int, required=True)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with open(f"{options.folder}/network.json") as file:
        slides = json.load(file)["slides"]
    layers = []
    for number, (stride, padding) in enumerate(slides):
        t = load_file(f"{options.folder}/{number}.safetensors")
        layers.append((t["x"], t["weight"], t["cotangent"], stride, padding))
    last = {}

    def run():
        for number, (x, weight, cotangent, stride, padding) in enumerate(layers):
            if options.which == "forward":
                with torch.inference_mode():
                    y = F.conv2d(x, weight, stride=stride, padding=padding)
            else:
                # Without a forward pass before it.
                mask = [options.which == "input", options.which == "weight", False]
                y = torch.ops.aten.convolution_backward(
                    cotangent, x, weight, None, [stride] * 2, [padding] * 2, [1, 1], False, [0, 0], 1, mask
                )[0 if mask[0] else 1]
            last[str(number)] = y

    version = f"PyTorch {torch.__version__.split('+')[0]}"
    worker.serve(version, run, lambda: {name: y.numpy() for name, y in last.items()}, 0.0)


if __name__ == "__main__":
    main()
