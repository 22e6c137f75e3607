"""PyTorch as an implementation: eager or compiled f32, or bf16 by autocast."""

import contextlib
import time

import torch
from safetensors.torch import load_file

import model
import worker


class Training:
    """AdamW (fused, the fastest that PyTorch has here) and a moving average."""

    def __init__(self, tokenizer, loss):
        config = tokenizer.config
        self.loss_of = loss
        self.names, self.parameters = zip(*tokenizer.named_parameters())
        self.optimizer = torch.optim.AdamW(
            self.parameters,
            lr=config["lr"],
            betas=config["betas"],
            eps=config["eps"],
            weight_decay=config["weight_decay"],
            fused=True,
        )
        self.average = [parameter.detach().clone() for parameter in self.parameters]
        self.decay = config["ema_decay"]
        self.compared = config["compared_moments"]

    def step(self, image):
        self.optimizer.zero_grad(set_to_none=True)
        self.loss = self.loss_of(image)
        self.loss.backward()
        self.optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(self.average, list(self.parameters), 1 - self.decay)

    def results(self):
        by_name = dict(zip(self.names, self.parameters))
        moments = {
            f"exp_avg.{name}": self.optimizer.state[by_name[name]]["exp_avg"].numpy()
            for name in self.compared
        }
        return {"loss": self.loss.detach().float().numpy(), **moments}


def main():
    options = worker.arguments(["eager", "compiled", "bf16"])
    torch.set_num_threads(options.threads)
    # Half of the model is enough for half of the work.
    unused = {"encode": "decoder", "decode": "encoder", "train": None}[options.program]
    tokenizer = model.load(options.folder, unused)
    inputs = load_file(f"{options.folder}/inputs-{options.batch}.safetensors")
    image, indices = inputs["image"], inputs["indices"].to(torch.int64)

    def compiled(function):
        return torch.compile(function) if options.mode == "compiled" else function

    def precision():
        if options.mode == "bf16":
            return torch.autocast("cpu", torch.bfloat16)
        return contextlib.nullcontext()

    last = {}
    if options.program == "train":
        with_precision = compiled(tokenizer.loss)

        def loss(image):
            with precision():
                return with_precision(image)

        training = Training(tokenizer, loss)
        run, results = (lambda: training.step(image)), training.results
    else:
        tokenizer.requires_grad_(False)
        if options.program == "encode":
            function, given = compiled(tokenizer.encode), image
        else:
            function, given = compiled(tokenizer.decode), indices

        def run():
            with torch.inference_mode(), precision():
                last["outputs"] = function(given)

        def results():
            outputs = last["outputs"]
            if options.program == "encode":
                return {"indices": outputs[0].numpy(), "features": outputs[1].numpy()}
            return {"reconstruction": outputs.numpy()}

    start = time.perf_counter()
    if options.mode == "compiled":
        if options.program == "train":
            # Compiles without changing a parameter.
            loss(image).backward()
        else:
            run()
    compile_seconds = time.perf_counter() - start if options.mode == "compiled" else 0.0
    worker.serve(f"PyTorch {torch.__version__.split('+')[0]}", run, results, compile_seconds)


if __name__ == "__main__":
    main()
