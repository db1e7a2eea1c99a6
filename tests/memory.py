"""What an input costs: `cost_of(work)` runs it in a process of its own, which may not take much, and measures its peak memory."""

import json
import os
import resource
import time
from typing import NamedTuple

MB = 2**20
MOST = (
    4096 * MB
)  # of address space beyond what the process has: what asks for more gets a MemoryError, and the test says so


class Cost(NamedTuple):
    """What `work` came to."""

    error: str  # the name of its exception; "" for none
    message: str
    megabytes: float  # at the peak, beyond what the process had
    seconds: float  # of a CPU


def _run(work) -> Cost:
    pages = int(open("/proc/self/statm").read().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MOST, resource.RLIM_INFINITY))
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    error = message = ""
    try:
        work()
    except BaseException as exc:
        error, message = type(exc).__name__, str(exc)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return Cost(error, message, peak / 1024, time.process_time() - began)


def cost_of(work) -> Cost:
    """The cost of a function without arguments, in a child of this process."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        with os.fdopen(writer, "w") as out:
            json.dump(_run(work), out)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as told:
        text = told.read()
    os.waitpid(child, 0)
    assert text, "the process died"
    return Cost(*json.loads(text))
