"""ONNX Runtime as an implementation: f32, or int8 by dynamic quantization (no training)."""

import os
import sys
import time

import numpy
import onnxruntime
from safetensors.numpy import load_file

import worker


def export(folder, program, batch, path):
    """Half of the model by PyTorch's exporter, in a process that ends before anything is timed."""
    import torch

    import model

    unused = "decoder" if program == "encode" else "encoder"
    tokenizer = model.load(folder, unused).eval().requires_grad_(False)
    inputs = load_file(f"{folder}/inputs-{batch}.safetensors")

    class Program(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.tokenizer = tokenizer

        def forward(self, given):
            if program == "encode":
                return self.tokenizer.encode(given)
            return self.tokenizer.decode(given)

    if program == "encode":
        given, outputs = torch.from_numpy(inputs["image"]), ["indices", "features"]
    else:
        given = torch.from_numpy(inputs["indices"].astype(numpy.int64))
        outputs = ["reconstruction"]
    torch.onnx.export(
        Program(),
        (given,),
        path,
        dynamo=True,
        opset_version=20,
        input_names=["given"],
        output_names=outputs,
        external_data=False,
        verbose=False,
    )


def quantize(source, target):
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.shape_inference import quant_pre_process

    prepared = f"{target}.prepared"
    quant_pre_process(source, prepared, skip_symbolic_shape=True)
    quantize_dynamic(prepared, target, weight_type=QuantType.QInt8, per_channel=True)
    os.remove(prepared)


def model_file(folder, program, batch, mode):
    """The model's file, made if it is not there yet; each step in a process of its own."""
    f32 = f"{folder}/{program}-{batch}.onnx"
    int8 = f"{folder}/{program}-{batch}-int8.onnx"

    def make(path, function, *rest):
        if os.path.exists(path):
            return
        pid = os.fork()
        if pid == 0:
            # What exporters print is no answer to a command.
            os.dup2(2, 1)
            function(*rest)
            sys.stdout.flush()
            os._exit(0)
        if os.waitpid(pid, 0)[1] != 0:
            sys.exit(f"{path} could not be made")

    make(f32, export, folder, program, batch, f32)
    if mode == "int8":
        make(int8, quantize, f32, int8)
        return int8
    return f32


def main():
    options = worker.arguments(["f32", "int8"])
    if options.program == "train":
        sys.exit("ONNX Runtime does not train")
    path = model_file(options.folder, options.program, options.batch, options.mode)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = options.threads
    settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    start = time.perf_counter()
    session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
    compile_seconds = time.perf_counter() - start
    inputs = load_file(f"{options.folder}/inputs-{options.batch}.safetensors")
    given = {
        "encode": lambda: inputs["image"],
        "decode": lambda: inputs["indices"].astype(numpy.int64),
    }[options.program]()
    names = [output.name for output in session.get_outputs()]
    last = {}

    def run():
        last["outputs"] = session.run(names, {session.get_inputs()[0].name: given})

    def results():
        return dict(zip(names, last["outputs"]))

    version = f"ONNX Runtime {onnxruntime.__version__}"
    worker.serve(version, run, results, compile_seconds)


if __name__ == "__main__":
    main()
