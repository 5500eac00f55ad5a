"""Two processes with a group between them, which run functions of TorchRec's tests and benchmarks."""

import os
import socket
import traceback

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

WORLD = 2


class Processes:
    """Two processes on the loopback (gloo), started once, since each imports TorchRec.

    Args:
        local_world: how many stand on one host as TorchRec sees it, 2 or 1; it keeps the groups of its first model.

    Example::

        first, second = processes.run(function, 3)  # function(3) in each
    """

    def __init__(self, local_world: int = WORLD):
        context = mp.get_context("spawn")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self._pipes, self._processes = [], []
        for rank in range(WORLD):
            mine, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs, rank, port, local_world), daemon=True)
            process.start()
            self._pipes.append(mine)
            self._processes.append(process)

    def run(self, function, *arguments):
        """What a module-level function returns in each process.

        Raises:
            AssertionError: it raised in one; the text is its traceback.
        """
        for pipe in self._pipes:
            pipe.send((function, arguments))
        results = [pipe.recv() for pipe in self._pipes]
        if failed := [text for done, text in results if not done]:
            raise AssertionError("\n".join(failed))
        return [result for _, result in results]

    def close(self) -> None:
        for pipe in self._pipes:
            pipe.send(None)
        for process in self._processes:
            process.join(10)


def _serve(pipe, rank: int, port: int, local_world: int) -> None:
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(WORLD), "RANK": str(rank)}
    os.environ |= {"LOCAL_RANK": str(rank % local_world), "LOCAL_WORLD_SIZE": str(local_world)}
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    while (task := pipe.recv()) is not None:
        function, arguments = task
        try:
            pipe.send((True, function(*arguments)))
        except BaseException:
            pipe.send((False, traceback.format_exc()))
    dist.destroy_process_group()
