"""The trainings of models/examples beside PyTorch: the same weights, batches and learning rates, loss by loss.

    cargo run --release --example record_losses FOLDER [STEPS]
    python benches/peers/examples.py FOLDER [--markdown]

Each model is spelled here a second time, by PyTorch's own functions and optimizers, and trained in f64 and
in f32. Relative to the loss, ours (f32) must be within FIRST of that in f64 at the first step; at every step
it may be as far from it as PyTorch in f32 has been at any, or ALL: some trainings magnify rounding, and that
is how far they do.
"""

import argparse
import math
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file

FIRST = 1e-6
ALL = 1e-5


def linear(p, name, x):
    return F.linear(x, p[name + ".weight"], p[name + ".bias"])


def norm(p, name, x):
    return F.layer_norm(x, x.shape[-1:], p[name + ".weight"], p[name + ".bias"], 1e-5)


def blocks(p, x, layers, heads, causal=False):
    """Pre-norm transformer blocks over [batch, tokens, width]."""
    batch, tokens, width = x.shape
    for layer in range(layers):
        at = f"blocks.{layer}."
        q, k, v = (
            part.reshape(batch, tokens, heads, width // heads).transpose(1, 2)
            for part in F.linear(
                norm(p, at + "ln_1", x), p[at + "attn.in_proj_weight"], p[at + "attn.in_proj_bias"]
            ).chunk(3, -1)
        )
        attended = F.scaled_dot_product_attention(q, k, v, is_causal=causal)
        joined = attended.transpose(1, 2).reshape(batch, tokens, width)
        x = x + linear(p, at + "attn.out_proj", joined)
        hidden = F.gelu(linear(p, at + "mlp.c_fc", norm(p, at + "ln_2", x)))
        x = x + linear(p, at + "mlp.c_proj", hidden)
    return x


def classifier(p, image, label):
    patches = F.unfold(image, 4, stride=4).transpose(1, 2)
    hidden = blocks(p, linear(p, "embed", patches), 2, 2)
    return F.cross_entropy(linear(p, "head", hidden.mean(1)), label.long())


def sine(p, x):
    y = linear(p, "out", linear(p, "hidden", x).tanh())
    return F.mse_loss(y, (3 * x).sin())


def custom_quantizer(p, x):
    bounded = linear(p, "encoder", x).tanh()
    rounded = torch.floor(bounded * 2 + 0.5) / 2
    quantized = bounded + (rounded - bounded).detach()
    return F.mse_loss(linear(p, "out", F.gelu(linear(p, "decoder", quantized))), x)


def fashion_classifier(p, image, label):
    x = image
    for layer in "01":
        weight, bias = p[f"conv.{layer}.weight"], p[f"conv.{layer}.bias"]
        x = F.max_pool2d(F.relu(F.conv2d(x, weight, bias, padding=1)), 2)
    hidden = F.relu(linear(p, "hidden", x.flatten(1)))
    return F.cross_entropy(linear(p, "head", hidden), label.long())


def flow_matching(p, moons, noise, time):
    point = torch.lerp(noise, moons, time)
    waves = [torch.cos(math.pi * frequency * time) for frequency in (1, 2, 4)]
    x = torch.cat([point, time, *waves], -1)
    for layer in "012":
        x = F.silu(linear(p, layer, x))
    return F.mse_loss(linear(p, "out", x), moons - noise)


def language_model(p, x, next):
    letters = p["letters.weight"]
    embedded = F.embedding(x.long(), letters) + p["places.weight"]
    hidden = norm(p, "norm", blocks(p, embedded, 2, 4, causal=True))
    return F.cross_entropy(F.linear(hidden, letters).flatten(0, 1), next.long().flatten())


def second_derivative(p, x, weight):
    x = x.requires_grad_()
    y = linear(p, "out", linear(p, "hidden", x).tanh())
    (slope,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    return F.mse_loss(y, x.detach().abs()) + slope.square().mean() * weight


def adamw(parameters):
    return torch.optim.AdamW(parameters, weight_decay=0.01)


def adagrad(parameters):
    return torch.optim.Adagrad(parameters, eps=1e-8)


# Name, model, optimizer, the norm that gradients are clipped to.
EXAMPLES = [
    ("language_model", language_model, adamw, 1.0),
    ("classifier", classifier, adamw, None),
    ("fashion_classifier", fashion_classifier, adamw, None),
    ("flow_matching", flow_matching, adamw, None),
    ("second_derivative", second_derivative, adamw, None),
    ("custom_quantizer", custom_quantizer, adamw, None),
    ("custom_optimizer", sine, adagrad, None),
    ("adamw", sine, adamw, None),
]


def train(recorded, model, optimizer, clip):
    """The losses of PyTorch's training."""
    start = "parameter."
    parameters = {
        name[len(start):]: value.clone().requires_grad_()
        for name, value in recorded.items()
        if name.startswith(start)
    }
    optimizer = optimizer(parameters.values())
    losses = []
    for step, lr in enumerate(recorded["lr"].tolist()):
        of_step = f"batch.{step}."
        batch = {
            name[len(of_step):]: value
            for name, value in recorded.items()
            if name.startswith(of_step)
        }
        optimizer.param_groups[0]["lr"] = lr
        optimizer.zero_grad()
        loss = model(parameters, **batch)
        loss.backward()
        if clip is not None:
            torch.nn.utils.clip_grad_norm_(parameters.values(), clip)
        optimizer.step()
        losses.append(loss.item())
    return losses


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--markdown", action="store_true", help="print a table in Markdown")
    options = parser.parse_args()
    torch.manual_seed(0)
    rows, agree = [], True
    for name, model, optimizer, clip in EXAMPLES:
        recorded = load_file(options.folder / f"{name}.safetensors")
        ours = recorded["loss"].tolist()
        single = train(recorded, model, optimizer, clip)
        double = {
            key: value.double() if value.is_floating_point() else value
            for key, value in recorded.items()
        }
        reference = train(double, model, optimizer, clip)
        apart, theirs = (
            [abs(a - b) / abs(b) for a, b in zip(losses, reference)] for losses in (ours, single)
        )
        fits = apart[0] <= FIRST and max(apart) <= max(ALL, *theirs)
        agree &= fits
        rows.append(
            (name, len(ours), ours[0], ours[-1], reference[-1], apart[0], max(apart), max(theirs))
        )
        print(f"{name}: {'agrees' if fits else 'DIFFERS'}", file=sys.stderr)
    if options.markdown:
        print(
            "| example | steps | first loss | last loss | PyTorch's, f64 | apart at first | at most "
            "| PyTorch's f32 at most |"
        )
        print("|---|---|---|---|---|---|---|---|")
        line = "| {} | {} | {:.6f} | {:.6f} | {:.6f} | {:.0e} | {:.0e} | {:.0e} |"
    else:
        line = "{:20} {:4} {:12.6f} {:12.6f} {:12.6f} {:8.0e} {:8.0e} {:8.0e}"
    for row in rows:
        print(line.format(*row))
    sys.exit(0 if agree else 1)


if __name__ == "__main__":
    main()
