"""A toy's training in a process of its own: `python toy_run_support.py OUTPUT HOW`.

HOW: `slowly` tells each step on standard output and takes its time; `killed` is killed while a checkpoint is written;
`shared` trains one of several processes, as torchrun started it.
"""

import os
import signal
import sys
import time

import toy_families_support as toys

from generators import trainer_checkpoint
from generators.train import train

SETTINGS = {"max_steps": 120, "learning_rate_schedule": "cosine"}
SHARED = {"max_steps": 6, "batch_size": 16}
NOISELESS = {"noise": 0.0}
KILLED_AT = 5


def tell(progress):
    print(progress.step, flush=True)
    time.sleep(0.02)


def kill_in_checkpoint():
    """The third checkpoint is written aside, and never put in its place."""
    plain = trainer_checkpoint.publish

    def publish(aside, place):
        if place.name == f"checkpoint-{KILLED_AT}":
            os.kill(os.getpid(), signal.SIGKILL)
        plain(aside, place)

    trainer_checkpoint.publish = publish


if __name__ == "__main__":
    output, how = sys.argv[1:]
    toys.install()
    if how == "slowly":
        train(toys.recipe(output, "toy_gan", training=SETTINGS), watch=tell)
    elif how == "killed":
        kill_in_checkpoint()
        train(toys.recipe(output, "toy_gan", training={**SETTINGS, "checkpoint_seconds": 0.0}))
    else:
        train(toys.recipe(output, model=NOISELESS, training={**SHARED, "batch_size": 8}))
