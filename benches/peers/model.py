"""BSQ-ViT in PyTorch: the same architecture and the same names of parameters as ours."""

import json
import math

import torch
import torch.nn.functional as F
from safetensors import safe_open
from torch import nn

LAYER_NORM_EPS = 1e-5
SMALLEST_NORM = 1e-12
LOG_EPS = 1e-8


def widened(x):
    """bf16 becomes f32; f64 stays."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


class Attention(nn.Module):
    attend = staticmethod(F.scaled_dot_product_attention)

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.empty(3 * width))
        self.out_proj = nn.Linear(width, width)

    def forward(self, x):
        batch, tokens, width = x.shape
        qkv = F.linear(x, self.in_proj_weight, self.in_proj_bias)
        qkv = qkv.view(batch, tokens, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        y = self.attend(q, k, v)
        return self.out_proj(y.transpose(1, 2).reshape(batch, tokens, width))


class Mlp(nn.Module):
    def __init__(self, width, hidden):
        super().__init__()
        self.c_fc = nn.Linear(width, hidden)
        self.c_proj = nn.Linear(hidden, width)

    def forward(self, x):
        return self.c_proj(F.gelu(self.c_fc(x)))


class Block(nn.Module):
    def __init__(self, width, heads, hidden):
        super().__init__()
        self.ln_1 = nn.LayerNorm(width, LAYER_NORM_EPS)
        self.attn = Attention(width, heads)
        self.ln_2 = nn.LayerNorm(width, LAYER_NORM_EPS)
        self.mlp = Mlp(width, hidden)

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class Transformer(nn.Module):
    def __init__(self, config):
        super().__init__()
        blocks = [
            Block(config["width"], config["heads"], config["mlp_width"])
            for _ in range(config["layers"])
        ]
        self.resblocks = nn.ModuleList(blocks)

    def forward(self, x):
        for block in self.resblocks:
            x = block(x)
        return x


class Half(nn.Module):
    """What encoder and decoder share: positions, layer norms, blocks."""

    def __init__(self, config):
        super().__init__()
        width = config["width"]
        height_, width_ = config["image_size"]
        self.patch = config["patch_size"]
        self.grid = (height_ // self.patch, width_ // self.patch)
        tokens = self.grid[0] * self.grid[1]
        self.positional_embedding = nn.Parameter(torch.empty(tokens, width))
        self.ln_pre = nn.LayerNorm(width, LAYER_NORM_EPS)
        self.transformer = Transformer(config)
        self.ln_post = nn.LayerNorm(width, LAYER_NORM_EPS)

    def features(self, tokens):
        x = self.ln_pre(tokens + self.positional_embedding)
        return self.ln_post(self.transformer(x))


class Encoder(Half):
    def __init__(self, config):
        super().__init__(config)
        pixels = 3 * config["patch_size"] ** 2
        self.conv1 = nn.Linear(pixels, config["width"], bias=False)

    def forward(self, image):
        batch, (rows, columns), p = image.shape[0], self.grid, self.patch
        patches = image.reshape(batch, 3, rows, p, columns, p)
        patches = patches.permute(0, 2, 4, 1, 3, 5).reshape(batch, rows * columns, 3 * p * p)
        return self.features(self.conv1(patches))


class Decoder(Half):
    def __init__(self, config):
        super().__init__(config)
        self.ffn = nn.Sequential(nn.Linear(config["width"], config["ffn_width"]), nn.Tanh())
        self.conv_out = nn.Linear(config["ffn_width"], 3 * config["patch_size"] ** 2)

    def forward(self, embedded):
        x = self.conv_out(self.ffn(self.features(embedded)))
        batch, (rows, columns), p = x.shape[0], self.grid, self.patch
        x = x.reshape(batch, rows, columns, 3, p, p).permute(0, 3, 1, 4, 2, 5)
        return x.reshape(batch, 3, rows * p, columns * p)


class Tokenizer(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        bits, width = config["bits"], config["width"]
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        self.quant_embed = nn.Linear(width, bits)
        self.post_quant_embed = nn.Linear(bits, width)
        basis = 2 ** torch.arange(bits - 1, -1, -1, dtype=torch.int64)
        self.register_buffer("basis", basis, persistent=False)

    def encode(self, image):
        """Indices, and the features that they are the signs of."""
        h = widened(self.quant_embed(self.encoder(image)))
        u = h / h.norm(dim=-1, keepdim=True).clamp_min(SMALLEST_NORM)
        return ((u > 0).to(torch.int64) * self.basis).sum(-1), h

    def decode(self, indices):
        set_ = (indices.unsqueeze(-1) & self.basis) != 0
        codes = (set_.float() * 2 - 1) / math.sqrt(self.config["bits"])
        return self.reconstruct(codes)

    def reconstruct(self, codes):
        raw = widened(self.decoder(self.post_quant_embed(codes)))
        return raw.clamp(*self.config["clamp"])

    def terms(self, image):
        """Reconstructions, and the quantizer's loss, bits taken as independent."""
        config = self.config
        h = widened(self.quant_embed(self.encoder(image)))
        u = h / h.norm(dim=-1, keepdim=True).clamp_min(SMALLEST_NORM)
        scale = 1 / math.sqrt(config["bits"])
        signs = (u > 0).to(u.dtype) * 2 - 1
        codes = (u + (signs - u).detach()) * scale

        zero = torch.sigmoid(-4 * scale * u)
        one = 1 - zero

        def plogp(p):
            return -p * torch.log(p + LOG_EPS)

        per_sample = (plogp(zero) + plogp(one)).sum(-1).mean()
        codebook = (plogp(zero.mean((0, 1))) + plogp(one.mean((0, 1)))).sum()
        commitment = (codes.detach() - u).square().sum(-1).mean()
        entropy = config["gamma0"] * per_sample - config["gamma"] * codebook
        quantizer = config["beta"] * commitment + config["zeta"] * entropy
        return self.reconstruct(codes), quantizer

    def distance(self, image, reconstruction):
        difference = image - reconstruction
        return (difference.square() if self.config["mse"] else difference.abs()).mean()

    def loss(self, image):
        reconstruction, quantizer = self.terms(image)
        return self.distance(image, reconstruction) + self.config["codebook_weight"] * quantizer


def load(folder, without=None):
    """The model, or what is left of it `without` its `encoder` or `decoder`: nothing else takes
    memory."""
    with open(f"{folder}/model.json") as file:
        config = json.load(file)
    with torch.device("meta"):
        model = Tokenizer(config)
    if without:
        setattr(model, without, None)
    names = model.state_dict().keys()
    with safe_open(f"{folder}/weights.safetensors", "pt") as file:
        # Copies: weights in a mapped file would be slower.
        weights = {name: file.get_tensor(name).clone() for name in names}
    model.load_state_dict(weights, strict=True, assign=True)
    model.basis = 2 ** torch.arange(config["bits"] - 1, -1, -1, dtype=torch.int64)
    return model
