"""The block-causal tokenizer of clips in PyTorch: a token sees those of its frame and of the frames before."""

import argparse
import time

import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import load_file
from torch.nn.attention.flex_attention import create_block_mask, flex_attention

import model
import worker


def attention(how, frames, tokens):
    """Of queries, keys and values `[batch, heads, frames * tokens, width]`."""
    count = frames * tokens
    if how == "flex":
        def sees(batch, head, query, key):
            return query // tokens >= key // tokens

        mask = create_block_mask(sees, None, None, count, count, device="cpu")
        return lambda q, k, v: flex_attention(q, k, v, block_mask=mask)
    if how == "frames":
        def by_frames(q, k, v):
            ends = range(tokens, count + 1, tokens)
            parts = [
                F.scaled_dot_product_attention(q[:, :, end - tokens:end], k[:, :, :end], v[:, :, :end])
                for end in ends
            ]
            return torch.cat(parts, 2)

        return by_frames
    frame = torch.arange(count) // tokens
    mask = frame[:, None] >= frame[None]
    return lambda q, k, v: F.scaled_dot_product_attention(q, k, v, attn_mask=mask)


def of_clips(half, temporal, frames, attend):
    """Makes an encoder or a decoder of pictures one of a clip's frames."""
    place = half.positional_embedding
    position = (place[None] + temporal[:, None]).reshape(-1, place.shape[-1])
    half.positional_embedding = torch.nn.Parameter(position)
    features = half.features

    def of_clip(tokens):
        x = features(tokens.reshape(1, -1, tokens.shape[-1]))
        return x.reshape(frames, -1, x.shape[-1])

    half.features = of_clip
    for block in half.transformer.resblocks:
        block.attn.attend = attend


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("program", choices=["encode", "decode"])
    parser.add_argument("--how", choices=["mask", "compiled", "flex", "frames"], required=True)
    parser.add_argument("--threads", type=int, required=True)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    unused = {"encode": "decoder", "decode": "encoder"}[options.program]
    tokenizer = model.load(options.folder, unused)
    tokenizer.requires_grad_(False)
    half = getattr(tokenizer, f"{options.program}r")
    with safe_open(f"{options.folder}/weights.safetensors", "pt") as file:
        temporal = file.get_tensor(f"{options.program}r.temporal_positional_embedding")
    frames = tokenizer.config["frames"]
    tokens = half.positional_embedding.shape[0]
    of_clips(half, temporal, frames, attention(options.how, frames, tokens))
    inputs = load_file(f"{options.folder}/inputs.safetensors")
    if options.program == "encode":
        function, given = tokenizer.encode, inputs["clip"][0]
    else:
        function, given = tokenizer.decode, inputs["indices"].to(torch.int64)
    if options.how in ["compiled", "flex"]:
        function = torch.compile(function)
    last = {}

    def run():
        with torch.inference_mode():
            last["outputs"] = function(given)

    def results():
        outputs = last["outputs"]
        if options.program == "encode":
            return {"indices": outputs[0].numpy(), "features": outputs[1].numpy()}
        return {"reconstruction": outputs.numpy()}

    start = time.perf_counter()
    if options.how in ["compiled", "flex"]:
        run()
    seconds = time.perf_counter() - start
    worker.serve(f"PyTorch {torch.__version__.split('+')[0]}", run, results, seconds)


if __name__ == "__main__":
    main()
