"""A pool, a resize or a normalisation in PyTorch, forward, or with its gradient."""

import argparse
import json

import torch
import torch.nn.functional as F
from safetensors.torch import load_file

import worker

EPSILON = 1e-5


def operation(what, channels):
    if pool := what.get("pool"):
        size, slides = pool["size"], {"stride": pool["stride"], "padding": pool["padding"]}
        function = F.max_pool2d if pool["max"] else F.avg_pool2d
        return lambda x: function(x, size, **slides)
    if how := what.get("resize"):
        size = [what["to"]] * 2
        if how == "Nearest":
            return lambda x: F.interpolate(x, size, mode="nearest")
        antialias = how == "Triangle"
        return lambda x: F.interpolate(x, size, mode="bilinear", antialias=antialias)
    weight, bias = torch.ones(channels), torch.zeros(channels)
    if "batch_norm" in what:
        return lambda x: F.batch_norm(x, None, None, weight, bias, training=True, eps=EPSILON)
    if what["groups"] == channels:
        return lambda x: F.instance_norm(x, eps=EPSILON)
    return lambda x: F.group_norm(x, what["groups"], weight, bias, eps=EPSILON)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("which", choices=["forward", "both"])
    parser.add_argument("--threads", type=int, required=True)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with open(f"{options.folder}/case.json") as file:
        case = json.load(file)
    given = load_file(f"{options.folder}/inputs.safetensors")
    apply = operation(case["what"], case["shape"][1])
    last = {}

    def run():
        if options.which == "forward":
            with torch.inference_mode():
                last["y"] = apply(given["x"])
        else:
            x = given["x"].requires_grad_()
            y = apply(x)
            (last["gradient"],) = torch.autograd.grad(y, x, given["cotangent"])
            last["y"] = y.detach()

    version = f"PyTorch {torch.__version__.split('+')[0]}"
    worker.serve(version, run, lambda: {name: t.contiguous().numpy() for name, t in last.items()}, 0.0)


if __name__ == "__main__":
    main()
