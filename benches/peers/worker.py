"""What all peers share: commands on standard input, answers as lines of JSON."""

import argparse
import json
import resource
import sys
import time

from safetensors.numpy import save_file


def arguments(modes):
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", required=True)
    parser.add_argument("--program", required=True, choices=["encode", "decode", "train"])
    parser.add_argument("--batch", required=True, type=int)
    parser.add_argument("--threads", required=True, type=int)
    parser.add_argument("--mode", required=True, choices=modes)
    return parser.parse_args()


def answer(**value):
    print(json.dumps(value), flush=True)


def serve(version, run, results, compile_seconds):
    """`run` does the work once, `results` gives arrays of the last run by name."""
    answer(ready=True, version=version, compile_seconds=compile_seconds)
    for line in sys.stdin:
        command, _, rest = line.strip().partition(" ")
        if command == "run":
            start, cpu_start = time.perf_counter(), time.process_time()
            run()
            seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
            answer(seconds=seconds, cpu_seconds=cpu_seconds)
        elif command == "save":
            save_file(results(), rest)
            answer(saved=rest)
        elif command == "quit":
            break
        else:
            sys.exit(f"{command}: no such command")
    answer(peak_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
