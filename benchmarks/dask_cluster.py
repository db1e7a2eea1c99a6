"""A cluster of Dask on this machine, each piece a process of its own, to be killed piece by piece; `kill_cluster.py` and tests use it."""

import os
import subprocess
import sys
import time

import specimg

PACKAGES = os.path.dirname(os.path.dirname(specimg.__file__))


class Cluster:
    """A scheduler and workers of Dask, each a process of its own on loopback."""

    def __init__(self, folder):
        self.folder, self.file, self.processes = folder, str(folder / "scheduler.json"), []
        self.scheduler = self._start("scheduler", "--port", "0")
        while not os.path.exists(self.file):
            assert self.scheduler.poll() is None, "the scheduler did not start"
            time.sleep(0.02)
        self.workers = []

    def _start(self, what, *options, before=(), **environment):
        module = f"distributed.cli.dask_{what}"
        common = ["--scheduler-file", self.file, "--host", "127.0.0.1", "--no-dashboard"]
        environment = {"PYTHONPATH": PACKAGES, "OMP_NUM_THREADS": "1"} | environment
        with open(self.folder / f"{what}{len(self.processes)}.log", "w") as log:
            process = subprocess.Popen(
                [*before, sys.executable, "-m", module, *common, *options],
                env=os.environ | environment,
                cwd=self.folder,  # `python -m` puts this first on its path
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.processes.append(process)
        return process

    def add_worker(self, **options):
        name = f"worker{len(self.processes)}"
        single = ["--no-nanny", "--nthreads", "1", "--local-directory", str(self.folder), "--name", name]
        worker = self._start("worker", *single, **options)
        worker.name = name
        self.workers.append(worker)
        return worker

    def wait_for(self, client, worker):
        """Until the scheduler knows a worker."""
        for _ in range(3000):
            if worker.name in {info["name"] for info in client.scheduler_info()["workers"].values()}:
                return
            assert worker.poll() is None, "the worker did not start"
            time.sleep(0.02)
        raise AssertionError("no worker for a minute")

    def kill(self, *processes):
        for process in processes:
            process.kill()
            process.wait()
            if process in self.workers:
                self.workers.remove(process)
