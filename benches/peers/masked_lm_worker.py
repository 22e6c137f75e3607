"""A masked language model in PyTorch: one step of a sampler with guidance.

The architecture and the names of the parameters are ours (BERT's, post-norm).
"""

import argparse
import json

import torch
import torch.nn.functional as F
from safetensors.torch import load_file

import worker

EPS = 1e-12


class MaskedLm(torch.nn.Module):
    def __init__(self, folder):
        super().__init__()
        with open(f"{folder}/model.json") as file:
            self.config = json.load(file)
        weights = load_file(f"{folder}/model.safetensors")
        for name, tensor in weights.items():
            self.register_buffer(name.replace(".", "__"), tensor)

    def weight(self, name):
        return getattr(self, name.replace(".", "__"))

    def linear(self, name, x):
        return F.linear(x, self.weight(f"{name}.weight"), self.weight(f"{name}.bias"))

    def norm(self, name, x):
        return F.layer_norm(x, x.shape[-1:], self.weight(f"{name}.weight"), self.weight(f"{name}.bias"), EPS)

    def logits(self, tokens, classes):
        config = self.config
        tables = [self.weight(f"token_embedding.{group}.weight") for group in range(config["groups"])]
        x = sum(F.embedding(tokens[..., group], table) for group, table in enumerate(tables))
        dropped = sum(table[config["vocabulary"]] for table in tables)
        known = F.embedding(classes.clamp(min=0), self.weight("class_embedding.weight"))
        first = torch.where((classes >= 0)[:, None], known, dropped)
        x = torch.cat([first[:, None], x], 1) + self.weight("positional_embedding")
        x = self.norm("ln_embed", x)
        batch, count, width = x.shape
        for layer in range(config["layers"]):
            name = f"transformer.resblocks.{layer}"
            qkv = F.linear(x, self.weight(f"{name}.attn.in_proj_weight"), self.weight(f"{name}.attn.in_proj_bias"))
            q, k, v = qkv.view(batch, count, 3, config["heads"], -1).permute(2, 0, 3, 1, 4)
            y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(x.shape)
            x = self.norm(f"{name}.ln_1", x + self.linear(f"{name}.attn.out_proj", y))
            hidden = F.gelu(self.linear(f"{name}.mlp.c_fc", x), approximate="tanh")
            x = self.norm(f"{name}.ln_2", x + self.linear(f"{name}.mlp.c_proj", hidden))
        x = self.norm("head.norm", F.gelu(self.linear("head.dense", x[:, 1:]), approximate="tanh"))
        parts = [
            F.linear(x, table[: config["vocabulary"]], self.weight(f"head.bias.{group}"))
            for group, table in enumerate(tables)
        ]
        return torch.stack(parts, 2)

    def forward(self, tokens, classes, guidance):
        both = self.logits(torch.cat([tokens, tokens]), torch.cat([classes, torch.full_like(classes, -1)]))
        of_class, without = both.chunk(2)
        return (without + (of_class - without) * (guidance + 1.0)).softmax(-1)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--compile", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model = MaskedLm(options.folder)
    if options.compile:
        model = torch.compile(model)
    inputs = load_file(f"{options.folder}/inputs.safetensors")
    given = [inputs["tokens"].long(), inputs["classes"].long(), inputs["guidance"]]
    last = {}

    def run():
        with torch.inference_mode():
            last["probabilities"] = model(*given)

    version = f"PyTorch {torch.__version__.split('+')[0]}"
    worker.serve(version, run, lambda: {name: x.numpy() for name, x in last.items()}, 0.0)


if __name__ == "__main__":
    main()
