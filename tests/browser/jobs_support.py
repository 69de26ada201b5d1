"""Kinds of jobs for the tests of jobs: they run in the real process, from the tests' own folder."""

import time

from decoder.errors import Stopped, UsageError


def run(spec, job):
    """What `spec` says."""
    job.tell(now=True, begun=True)
    match spec["do"]:
        case "give":
            print("printed on the way")
            return {"sum": spec["a"] + spec["b"]}
        case "sleep":
            for number in range(int(spec["seconds"] * 100)):
                job.tell(number=number)
                time.sleep(0.01)
        case "refuse":
            raise UsageError("doing it", "it cannot be done", "Do something else")
        case "checkpoint":
            raise Stopped("training", "a signal ended it", "Go on with --resume")
        case "break":
            raise ZeroDivisionError("that is a bug")
    return {}
