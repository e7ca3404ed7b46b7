# SPDX-License-Identifier: MIT
"""Runs in the lab's machine and times programs there, so that entering the machine is not in their time.

Reads a JSON object a line, answers with one: {"prepare": [argv…], "argv": […], "environment": {…}} gives
{"seconds": …, "status": …}: the time from posix_spawn to the end of wait, of argv alone. Refuses: to read what a
program says, or to wait for what it left running.
"""
import json
import os
import sys
import time


def spawn(argv, environment):
    nowhere = [(os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
               *((os.POSIX_SPAWN_OPEN, fd, "/dev/null", os.O_WRONLY, 0) for fd in (1, 2))]
    return os.posix_spawnp(argv[0], argv, environment, file_actions=nowhere)


def wait(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def serve(request):
    environment = {**os.environ, **request.get("environment", {})}
    for argv in request.get("prepare", []):
        status = wait(spawn(argv, os.environ))
        if status != 0:
            return {"error": f"{argv}: exit status {status}"}
    begin = time.perf_counter()
    status = wait(spawn(request["argv"], environment))
    return {"seconds": time.perf_counter() - begin, "status": status}


for line in sys.stdin:
    print(json.dumps(serve(json.loads(line))), flush=True)
