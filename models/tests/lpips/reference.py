"""The distances that `models/tests/lpips/main.rs` expects, from the package `lpips` of the metric's
authors with weights that both sides compute.

    pip install torch torchvision lpips
    python models/tests/lpips/reference.py
"""

import lpips
import numpy as np
import torch


def uniform(count, seed):
    """Numbers in 0..1, the same in the test."""
    x = (np.arange(count, dtype=np.uint64) * 2654435761 + seed * 97) & 0xFFFFFFFF
    x = ((x ^ (x >> 16)) * 0x45D9F3B) & 0xFFFFFFFF
    x = ((x ^ (x >> 16)) * 0x45D9F3B) & 0xFFFFFFFF
    return (x >> 8).astype(np.float64) / (1 << 24)


def weights(model):
    for seed, (name, value) in enumerate(sorted(model.state_dict().items()), 1):
        numbers = uniform(value.numel(), seed)
        if name.startswith("net") and name.endswith("weight"):
            bound = (6.0 / value[0].numel()) ** 0.5
            numbers = (2 * numbers - 1) * bound
        elif name.startswith("net"):
            numbers = 0.2 * numbers - 0.1
        elif name.startswith("scaling_layer"):
            continue
        # The package has each linear layer under two names.
        elif name.startswith("lins"):
            continue
        value.copy_(torch.from_numpy(numbers).to(torch.float32).reshape(value.shape))


def main():
    model = lpips.LPIPS(net="alex", pretrained=False, pnet_rand=True, eval_mode=True, verbose=False)
    weights(model)
    for height, width in [(64, 64), (71, 98), (31, 40)]:
        count = 3 * height * width
        a = 2 * uniform(count, 101) - 1
        b = np.clip(a + 0.5 * (uniform(count, 102) - 0.5), -1, 1)
        a, b = (torch.from_numpy(x).to(torch.float32).reshape(1, 3, height, width) for x in (a, b))
        with torch.no_grad():
            print(height, width, f"{model(a, b).item():.7f}")


if __name__ == "__main__":
    main()
