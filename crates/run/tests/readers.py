"""Reads a run folder with the readers that other people use and prints what they saw as one JSON object.

usage: readers.py RUN
Exit code 3: a package is missing (its name is printed).
"""

import json
import sys
from pathlib import Path

try:
    from safetensors import safe_open
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
except ImportError as error:
    print(error.name)
    sys.exit(3)

run = Path(sys.argv[1])

# The raw events, then the accumulator that the TensorBoard server uses.
(path,) = run.glob("events.out.tfevents.*")
versions = [event.file_version for event in EventFileLoader(str(path)).Load() if event.file_version]
accumulator = EventAccumulator(str(run))
accumulator.Reload()
scalars = {tag: [[e.step, e.value] for e in accumulator.Scalars(tag)] for tag in accumulator.Tags()["scalars"]}
wall_times = [e.wall_time for e in accumulator.Scalars("Train/KL")]

archives = {}
for path in sorted(run.glob("checkpoints/*/*.safetensors")):
    with safe_open(str(path), framework="numpy") as file:
        archives[path.name] = {
            "notes": file.metadata(),
            "tensors": {
                name: [str(tensor.dtype), list(tensor.shape), tensor.flatten().tolist()]
                for name in file.keys()
                for tensor in [file.get_tensor(name)]
            },
        }

lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
print(json.dumps({"versions": versions, "scalars": scalars, "wall_times": wall_times, "archives": archives, "lines": lines}))
