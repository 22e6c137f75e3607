#!/usr/bin/env python3
"""Runs a program that `bsq export` wrote: a reference of docs/export.md, in as few lines as it takes.

    python3 docs/run_export.py DIR [--runs N] [--input NAME=FILE.npy] [--output FOLDER] [--dry]

Needs numpy, and a CUDA driver unless --dry (which reads and checks everything, and launches nothing).
Inputs that are not given are zeros. Outputs are printed in short, and written as .npy to a folder.
"""

import argparse
import ctypes
import json
import pathlib
import sys
import time

import numpy as np

DTYPES = {"f32": "<f4", "f16": "<f2", "bf16": "<u2", "i32": "<i4", "i64": "<i8", "u8": "u1", "u32": "<u4", "u64": "<u8",
          "bool": "?"}
DYNAMIC_SHARED = 8  # CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES


def read_safetensors(path):
    """Tensors' bytes by name."""
    data = path.read_bytes()
    header = int.from_bytes(data[:8], "little")
    entries = json.loads(data[8:8 + header])
    entries.pop("__metadata__", None)
    start = 8 + header
    return {name: data[start + e["data_offsets"][0]:start + e["data_offsets"][1]] for name, e in entries.items()}


class Driver:
    """The few calls of libcuda that are needed; each must succeed."""

    def __init__(self):
        self.lib = ctypes.CDLL("libcuda.so.1")
        self("cuInit", 0)
        self.device, self.context = ctypes.c_int(), ctypes.c_void_p()
        self("cuDeviceGet", ctypes.byref(self.device), 0)
        self("cuDevicePrimaryCtxRetain", ctypes.byref(self.context), self.device)
        self("cuCtxSetCurrent", self.context)

    def __call__(self, name, *arguments):
        result = getattr(self.lib, name)(*arguments)
        if result != 0:
            text = ctypes.c_char_p()
            self.lib.cuGetErrorString(result, ctypes.byref(text))
            sys.exit(f"{name}: {(text.value or b'unknown error').decode()} ({result})")

    def allocate(self, size):
        address = ctypes.c_uint64()
        self("cuMemAlloc_v2", ctypes.byref(address), ctypes.c_size_t(max(size, 16)))
        return address.value

    def write(self, address, data):
        if data:
            self("cuMemcpyHtoD_v2", ctypes.c_uint64(address), data, ctypes.c_size_t(len(data)))

    def read(self, address, size):
        data = ctypes.create_string_buffer(size)
        if size:
            self("cuMemcpyDtoH_v2", data, ctypes.c_uint64(address), ctypes.c_size_t(size))
        return data.raw

    def function(self, text, kernel):
        module, function = ctypes.c_void_p(), ctypes.c_void_p()
        self("cuModuleLoadData", ctypes.byref(module), text)
        self("cuModuleGetFunction", ctypes.byref(function), module, kernel["name"].encode())
        if kernel["dynamic_shared_bytes"]:
            self("cuFuncSetAttribute", function, DYNAMIC_SHARED, kernel["dynamic_shared_bytes"])
        return function


class Dry(Driver):
    """Counts memory and launches instead of asking for them."""

    def __init__(self):
        self.taken, self.launches = 0, 0

    def __call__(self, name, *arguments):
        self.launches += name == "cuLaunchKernel"

    def allocate(self, size):
        self.taken += size
        return 1 << 40


class Program:
    def __init__(self, folder, driver):
        self.driver = driver
        self.manifest = manifest = json.loads((folder / "manifest.json").read_text())
        if (manifest["format"], manifest["version"]) != ("bsq program", 1):
            sys.exit(f"{folder}: version {manifest['version']} of {manifest['format']!r} is not known here")
        weights = read_safetensors(folder / manifest["weights"])
        arena = driver.allocate(manifest["arena_bytes"])
        self.workspace = driver.allocate(manifest["workspace_bytes"])
        self.addresses = []
        for buffer in manifest["buffers"]:
            if buffer["kind"] == "temporary":
                self.addresses.append(arena + buffer["offset"])
                continue
            self.addresses.append(driver.allocate(buffer["bytes"]))
            if buffer["kind"] in ("parameter", "constant"):
                data = weights[buffer["name"]]
                assert len(data) == buffer["bytes"], buffer["name"]
                driver.write(self.addresses[-1], data)
        kernels = manifest["kernels"]
        self.functions = [driver.function((folder / k["file"]).read_bytes() + b"\0", k) for k in kernels]
        self.stale = True

    def launch(self, launch):
        kernel = self.manifest["kernels"][launch["kernel"]]
        addresses = [self.addresses[b] for b in launch["buffers"]]
        if kernel["workspace_bytes"]:
            addresses.append(self.workspace)
        assert len(addresses) == kernel["buffers"] + (kernel["workspace_bytes"] > 0)
        values = [ctypes.c_uint64(address) for address in addresses]
        pointers = (ctypes.c_void_p * len(values))(*[ctypes.addressof(value) for value in values])
        if kernel["blocks"]:
            self.driver("cuLaunchKernel", self.functions[launch["kernel"]], kernel["blocks"], 1, 1, kernel["threads"], 1,
                        1, kernel["dynamic_shared_bytes"], None, pointers, None)

    def run(self, inputs):
        """Outputs by name, from inputs by name."""
        buffers = self.manifest["buffers"]
        for buffer, address in zip(buffers, self.addresses):
            if buffer["kind"] == "input":
                value = np.asarray(inputs[buffer["name"]], DTYPES[buffer["dtype"]])
                assert list(value.shape) == buffer["shape"], buffer["name"]
                self.driver.write(address, value.tobytes())
        for launch in self.manifest["launches"]:
            if self.stale or not launch["stable"]:
                self.launch(launch)
        self.stale = False
        for copy in self.manifest["copies"]:
            size = ctypes.c_size_t(buffers[copy["from"]]["bytes"])
            to, source = (ctypes.c_uint64(self.addresses[copy[end]]) for end in ("to", "from"))
            self.driver("cuMemcpyDtoD_v2", to, source, size)
        outputs = {}
        for output in self.manifest["outputs"]:
            buffer = buffers[output["buffer"]]
            data = self.driver.read(self.addresses[output["buffer"]], buffer["bytes"])
            outputs[output["name"]] = np.frombuffer(data, DTYPES[buffer["dtype"]]).reshape(buffer["shape"])
        return outputs


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--input", action="append", default=[], metavar="NAME=FILE.npy")
    parser.add_argument("--output", type=pathlib.Path)
    parser.add_argument("--dry", action="store_true", help="launch nothing")
    options = parser.parse_args()
    driver = Dry() if options.dry else Driver()
    program = Program(options.folder, driver)
    given = dict(pair.split("=", 1) for pair in options.input)
    inputs = {}
    for buffer in program.manifest["buffers"]:
        if buffer["kind"] == "input":
            path = given.pop(buffer["name"], None)
            zeros = np.zeros(buffer["shape"], DTYPES[buffer["dtype"]])
            inputs[buffer["name"]] = np.load(path) if path else zeros
    if given:
        sys.exit(f"no such input: {', '.join(given)}; there are {', '.join(inputs)}")
    for _ in range(options.runs):
        start = time.perf_counter()
        outputs = program.run(inputs)
        print(f"{(time.perf_counter() - start) * 1e3:.2f} ms")
    for name, value in outputs.items():
        print(f"{name}: {value.dtype}{list(value.shape)} {value.ravel()[:4]}")
        if options.output:
            options.output.mkdir(exist_ok=True)
            np.save(options.output / f"{name}.npy", value)
    if options.dry:
        print(f"{driver.taken} bytes, {driver.launches} launches")


if __name__ == "__main__":
    main()
