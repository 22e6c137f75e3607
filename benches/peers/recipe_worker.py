"""A step of the whole recipe of training in PyTorch: a tokenizer against L1, LPIPS with VGG16 and a
discriminator of the kind of StyleGAN2, then the discriminator.

Written from the papers (Karras et al., 2018 and 2020; Zhang et al., 2018; Mescheder et al., 2018) with our names
of parameters.
"""

import argparse
import math

import torch
import torch.nn.functional as F
from safetensors.torch import load_file

import model
import worker

CONVOLUTIONS = [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28]
POOLS = [5, 10, 17, 24]
TAPS = [2, 7, 14, 21, 28]
MEAN, DEVIATION = [-0.030, -0.088, -0.188], [0.458, 0.448, 0.450]
SMALLEST_LENGTH = 1e-10
GROUP = 4
LARGEST_WEIGHT = 1e4


def loaded(path, like):
    """Tensors of a file, in the type and the order in memory of `like`."""
    dtype, order = like
    return {
        name: tensor.to(dtype, memory_format=order if tensor.dim() == 4 else torch.preserve_format)
        for name, tensor in load_file(path).items()
    }


class Lpips:
    def __init__(self, path, like):
        weights = loaded(path, like)
        # By the number of the convolution in VGG16, with or without the slice that it is in.
        self.convolutions = {}
        for name, tensor in weights.items():
            if name.startswith(("net.slice", "features.")):
                number, kind = name.split(".")[-2:]
                self.convolutions[int(number), kind] = tensor
        self.heads = [weights[f"lin{tap}.model.1.weight"] for tap in range(len(TAPS))]
        self.mean, self.deviation = (
            torch.tensor(x, dtype=like[0]).view(1, 3, 1, 1) for x in (MEAN, DEVIATION)
        )

    def features(self, x):
        x = (x - self.mean) / self.deviation
        taken = []
        for number in CONVOLUTIONS:
            if number in POOLS:
                x = F.max_pool2d(x, 2)
            kernel, bias = (self.convolutions[number, kind] for kind in ("weight", "bias"))
            x = F.relu(F.conv2d(x, kernel, bias, padding=1))
            if number in TAPS:
                taken.append(x / (x.norm(dim=1, keepdim=True) + SMALLEST_LENGTH))
        return taken

    def distance(self, image, reconstruction):
        with torch.no_grad():
            wanted = self.features(image)
        pairs = zip(wanted, self.features(reconstruction), self.heads)
        return sum(F.conv2d((a - b).square(), head).mean((1, 2, 3)) for a, b, head in pairs)


class Discriminator:
    def __init__(self, path, side, like):
        self.side = side
        self.w = {name: torch.nn.Parameter(tensor) for name, tensor in loaded(path, like).items()}
        taps = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=like[0]) / 8
        self.filter = taps[:, None] * taps

    def scaled(self, name):
        weight = self.w[f"{name}.weight"]
        return weight * (1 / math.sqrt(weight[0].numel()))

    def convolution(self, name, x, gain, stride=1, padding=0):
        bias = self.w.get(f"{name}.bias")
        x = F.conv2d(x, self.scaled(name), bias, stride, padding)
        return x if bias is None else F.leaky_relu(x, 0.2) * gain

    def low_pass(self, x, padding, stride):
        channels = x.shape[1]
        kernel = self.filter.expand(channels, 1, 4, 4)
        return F.conv2d(x, kernel, None, stride, padding, groups=channels)

    def logits(self, x):
        two = math.sqrt(2)
        x = self.convolution(f"b{self.side}.fromrgb", x, two)
        side = self.side
        while side > 4:
            name = f"b{side}"
            y = self.convolution(f"{name}.conv0", x, two, padding=1)
            y = self.convolution(f"{name}.conv1", self.low_pass(y, 2, 1), 1.0, stride=2)
            x = self.convolution(f"{name}.skip", self.low_pass(x, 1, 2), 1.0) * math.sqrt(0.5) + y
            side //= 2
        x = torch.cat([x, self.deviation(x)], 1)
        x = self.convolution("b4.conv", x, two, padding=1).flatten(1)
        x = F.leaky_relu(F.linear(x, self.scaled("b4.fc"), self.w["b4.fc.bias"]), 0.2) * two
        return F.linear(x, self.scaled("b4.out"), self.w["b4.out.bias"])

    def deviation(self, x):
        batch, _, height, width = x.shape
        members = min(GROUP, batch)
        groups = x.view(members, batch // members, *x.shape[1:])
        deviation = (groups.var(0, unbiased=False) + 1e-8).sqrt().mean((1, 2, 3))
        return deviation.repeat(members).view(batch, 1, 1, 1).expand(batch, 1, height, width)


class Recipe:
    def __init__(self, folder, lpips, penalised, like):
        self.like = like
        self.tokenizer = model.load(folder).to(like[0])
        self.config = config = self.tokenizer.config
        self.penalised = penalised
        self.lpips = Lpips(lpips, like)
        side = config["image_size"][0]
        self.judge = Discriminator(f"{folder}/discriminator.safetensors", side, like)
        self.image = loaded(f"{folder}/inputs.safetensors", like)["image"]
        named = dict(self.tokenizer.named_parameters())
        judged = {f"discriminator.{name}": weight for name, weight in self.judge.w.items()}
        self.parameters = named | judged
        self.optimizers = [
            torch.optim.AdamW(
                own.values(),
                lr=config["lr"],
                betas=config["betas"],
                eps=config["eps"],
                weight_decay=config["weight_decay"],
                fused=True,
            )
            for own in (named, judged)
        ]
        self.trained = list(named.values())
        self.average = {name: weight.detach().clone() for name, weight in named.items()}
        self.outputs = {}

    def generator(self):
        config, image, outputs = self.config, self.image, self.outputs
        for weight in self.judge.w.values():
            weight.requires_grad_(False)
        picture, quantizer = self.tokenizer.terms(image)
        # Both networks are gone through backwards once, and their gradients by pictures added.
        shown = picture.detach().contiguous(memory_format=self.like[1]).requires_grad_()
        distance = self.tokenizer.distance(image, shown)
        perceptual = self.lpips.distance(image, shown).mean()
        likeness = distance + config["perceptual_weight"] * perceptual
        adversarial = F.softplus(-self.judge.logits(shown)).mean()
        by_picture = [torch.autograd.grad(loss, shown)[0] for loss in (likeness, adversarial)]
        last = self.tokenizer.decoder.conv_out.weight
        lengths = [
            torch.autograd.grad(picture, last, slope, retain_graph=True)[0].norm() for slope in by_picture
        ]
        weight = (lengths[0] / (lengths[1] + 1e-4)).clamp(0, LARGEST_WEIGHT) * config["disc_weight"]
        self.optimizers[0].zero_grad(set_to_none=True)
        slopes = [by_picture[0] + weight * by_picture[1], quantizer.new_tensor(config["codebook_weight"])]
        torch.autograd.backward([picture, quantizer], slopes)
        self.optimizers[0].step()
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.values()), self.trained, 1 - config["ema_decay"])
        loss = likeness + config["codebook_weight"] * quantizer + weight * adversarial
        outputs.update(
            loss=loss,
            reconstruction=distance,
            perceptual=perceptual,
            adversarial=adversarial,
            quantizer=quantizer,
            judged=shown,
        )
        return shown.detach()

    def discriminator(self, made):
        for weight in self.judge.w.values():
            weight.requires_grad_(True)
        image = self.image.requires_grad_(self.penalised)
        real, fake = self.judge.logits(image), self.judge.logits(made)
        value = (F.softplus(-real).mean() + F.softplus(fake).mean()) / 2
        self.outputs.update(discriminator=value, logits_real=real.mean(), logits_fake=fake.mean())
        loss = value
        if self.penalised:
            slope = torch.autograd.grad(real.sum(), image, create_graph=True)[0]
            r1 = slope.square().sum() / len(image)
            loss = loss + self.config["r1"] * r1
            self.outputs["r1"] = r1
        self.optimizers[1].zero_grad(set_to_none=True)
        loss.backward(inputs=list(self.judge.w.values()))
        self.optimizers[1].step()
        self.image.requires_grad_(False)

    def step(self):
        self.discriminator(self.generator())

    def results(self):
        state = {}
        for optimizer in self.optimizers:
            state |= optimizer.state
        results = dict(self.outputs)
        results |= {f"ema.{name}": average for name, average in self.average.items()}
        for name, weight in self.parameters.items():
            results |= {name: weight, f"exp_avg.{name}": state[weight]["exp_avg"]}
        # Files have the last axis last in memory.
        return {name: tensor.detach().contiguous().numpy() for name, tensor in results.items()}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("lpips")
    parser.add_argument("step", choices=["plain", "penalised"])
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--double", action="store_true", help="in f64")
    parser.add_argument("--channels-last", action="store_true", help="in memory")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    dtype = torch.float64 if options.double else torch.float32
    order = torch.channels_last if options.channels_last else torch.contiguous_format
    penalised = options.step == "penalised"
    recipe = Recipe(options.folder, options.lpips, penalised, (dtype, order))
    version = f"PyTorch {torch.__version__.split('+')[0]}"
    worker.serve(version, recipe.step, recipe.results, 0.0)


if __name__ == "__main__":
    main()
