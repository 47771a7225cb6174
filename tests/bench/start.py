# SPDX-License-Identifier: GPL-2.0-or-later
"""From the command to the mount: each goes to the background once its mount works."""

import os
import subprocess

from host import BenchError, seconds
from mounts import mounted_at, usual_descriptor_limits
from results import bound

GROUP = "start"
TARGETS = [bound(GROUP, "start to mounted", "shmtree", "start to mounted, warm", "<", 30, "ms")]


def start_once(path, argv):
    took = seconds(argv, preexec_fn=usual_descriptor_limits)
    if not mounted_at(path):
        raise BenchError(f"{os.path.basename(str(argv[0]))} went to the background before it was mounted")
    os.listdir(path)
    subprocess.run(["umount", str(path)], check=True)
    return took


def measure_group(bench):
    peers = bench.peers
    path = peers.mount_point("start")
    programs = {"shmtree": peers.shmtree_argv, "passthrough_hp": peers.passthrough_hp_argv,
                "bindfs": peers.bindfs_argv}
    times = {}

    def one_round():
        for name, argv in list(programs.items()):
            try:
                times.setdefault(name, []).append(start_once(path, argv(path)) * 1e3)
            except BenchError as error:
                bench.results.note(f"start of {name} not measured: {error}")
                del programs[name]

    for _ in range(1 + bench.pick(quick=3, full=20)):
        one_round()
    for name, values in times.items():
        if len(values) > 1:
            bench.results.add(GROUP, "start to mounted", name, values[1:], "ms")  # the first warms up
