"""An autoregressive prior in PyTorch: all tokens at once, or one by one with a cache.

The architecture and the names of the parameters are ours; tokens go in raster order. One-hot inputs
are looked up instead of multiplied, and a step multiplies by one sub-token's weights only.
"""

import argparse
import json
import sys

import torch
import torch.nn.functional as F
from safetensors.torch import load_file

import worker

EPS = 1e-5


class Prior:
    def __init__(self, folder, dtype):
        with open(f"{folder}/prior.json") as file:
            self.config = config = json.load(file)
        if not config["learned_positions"]:
            sys.exit("the peer has learned positions only")
        self.w = {name: t.to(dtype) for name, t in load_file(f"{folder}/prior.safetensors").items()}
        self.tokens = load_file(f"{folder}/tokens.safetensors")["tokens"].long()
        depth, classes = config["sub_tokens"], config["classes"]
        # A row for each (neighbour, sub-token, value), and one of zeros for what is unknown.
        stem = self.w.pop("stem.weight").t()
        self.stem = torch.cat([stem, torch.zeros_like(stem[:1])]).contiguous()
        places = torch.arange(len(config["neighbours"]) * depth) * classes
        known = self.known()
        self.seen = torch.where(known < 0, len(stem), known + places)
        context = self.w.pop("head.context.weight")
        self.context = [
            context[k, :, : k * classes].t().contiguous() if k > 0 else None for k in range(depth)
        ]

    def known(self):
        """Sub-tokens of each token's neighbours, [batch, tokens, neighbours * depth]."""
        batch, rows, columns, depth = self.tokens.shape
        pad = self.config["side"] + 3
        padded = F.pad(self.tokens, (0, 0, pad, pad, pad, 0), value=-1)
        parts = []
        for down, right in self.config["neighbours"]:
            top, left = pad + down, pad + right
            parts.append(padded[:, top : top + rows, left : left + columns])
        return torch.stack(parts, 3).reshape(batch, rows * columns, -1)

    def norm(self, name, x):
        return F.layer_norm(x, x.shape[-1:], self.w[f"{name}.weight"], self.w[f"{name}.bias"], EPS)

    def linear(self, name, x):
        return F.linear(x, self.w[f"{name}.weight"], self.w[f"{name}.bias"])

    def projected(self, start, end, attend):
        """Of the tokens from start to end: [batch, tokens, depth, hidden]."""
        side = self.config["side"]
        seen = self.seen[:, start:end]
        batch, count, _ = seen.shape
        x = F.embedding_bag(seen.reshape(batch * count, -1), self.stem, mode="sum")
        places = torch.arange(start, end)
        rows, columns = self.w["row_embedding"], self.w["column_embedding"]
        x = x.view(batch, count, -1) + self.w["stem.bias"]
        x = x + (rows[places // side] + columns[places % side])
        heads = self.config["heads"]
        for layer in range(self.config["layers"]):
            name = f"blocks.{layer}"
            qkv = self.linear(f"{name}.attn.in_proj", self.norm(f"{name}.ln_1", x))
            qkv = qkv.view(batch, count, 3, heads, -1).permute(2, 0, 3, 1, 4)
            y = attend(layer, *qkv.unbind(0)).transpose(1, 2).reshape(x.shape)
            x = x + self.linear(f"{name}.attn.out_proj", y)
            h = F.gelu(self.linear(f"{name}.mlp.fc", self.norm(f"{name}.ln_2", x)))
            x = x + self.linear(f"{name}.mlp.proj", h)
        x = self.linear("head.input", self.norm("ln_post", x))
        return x.view(batch, count, self.config["sub_tokens"], -1)

    def bits(self, projected, tokens):
        """What the tokens cost, one sub-token after the other: [batch]."""
        classes, total = self.config["classes"], 0
        for k in range(self.config["sub_tokens"]):
            x = projected[:, :, k]
            if k > 0:
                places = tokens[..., :k] + torch.arange(k) * classes
                bag = F.embedding_bag(places.reshape(-1, k), self.context[k], mode="sum")
                x = x + bag.view(x.shape)
            x = F.gelu(x)
            mix, out = self.w["head.mix.weight"][k], self.w["head.output.weight"][k]
            x = x + F.gelu(F.linear(x, mix, self.w["head.mix.bias"][k]))
            logits = F.linear(x, out, self.w["head.output.bias"][k]).float()
            p = logits.softmax(-1).gather(-1, tokens[..., k : k + 1])
            total = total - p.log2().sum((1, 2))
        return total

    def teacher_forced(self):
        tokens = self.tokens.flatten(1, 2)

        def attend(_, q, k, v):
            return F.scaled_dot_product_attention(q, k, v, is_causal=True)

        return self.bits(self.projected(0, tokens.shape[1], attend), tokens)

    def cached(self):
        tokens, config = self.tokens.flatten(1, 2), self.config
        batch, count, _ = tokens.shape
        heads, width = config["heads"], config["width"]
        shape = (config["layers"], 2, batch, heads, count, width // heads)
        cache, total = torch.empty(shape, dtype=self.stem.dtype), 0
        for at in range(count):

            def attend(layer, q, k, v):
                cache[layer, 0, :, :, at : at + 1] = k
                cache[layer, 1, :, :, at : at + 1] = v
                keys, values = cache[layer, :, :, :, : at + 1]
                return F.scaled_dot_product_attention(q, keys, values)

            projected = self.projected(at, at + 1, attend)
            total = total + self.bits(projected, tokens[:, at : at + 1])
        return total


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("which", choices=["teacher-forced", "cached"])
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--mode", choices=["f32", "bf16"], required=True)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    prior = Prior(options.folder, {"f32": torch.float32, "bf16": torch.bfloat16}[options.mode])
    run_pass = prior.teacher_forced if options.which == "teacher-forced" else prior.cached
    last = {}

    def run():
        with torch.inference_mode():
            last["bits"] = run_pass()

    version = f"PyTorch {torch.__version__.split('+')[0]}"
    worker.serve(version, run, lambda: {"bits": last["bits"].numpy()}, 0.0)


if __name__ == "__main__":
    main()
