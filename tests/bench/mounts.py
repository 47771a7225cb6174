# SPDX-License-Identifier: GPL-2.0-or-later
"""The file systems under measurement, and how they are mounted over this run's /dev/shm.

All of them show the same tmpfs, mounted side by side, so that one round can ask each in turn.
"""

import contextlib
import os
import re
import resource
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from host import BenchError, run, wait_until

SHM = Path("/dev/shm")


@dataclass
class Mount:
    name: str
    path: Path
    process: subprocess.Popen = None

    @property
    def pid(self):
        return self.process.pid

    def facts(self, segment):
        """The directory of facts about a named object."""
        return self.path / ".shmtree" / "posix" / segment


NATIVE = Mount("native", SHM)


def mounted_at(path):
    fields = (line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines())
    return any(f[4] == str(path) for f in fields)


def usual_descriptor_limits():
    """Those that systemd gives: a daemon that needs more than 1,024 has to see to it itself, and
    passthrough_hp, which holds one for each object that it has seen, can."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 524288))
    except ValueError:  # root without CAP_SYS_RESOURCE
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(1024, hard), hard))


class Peers:
    """Knows the command line of each file system, and mounts them."""

    def __init__(self, root, build, work, results):
        self.shmtree = build / "fs" / "shmtree"
        self.work = work
        self.results = results
        self._hp_o2 = None
        self._hp = self._find_passthrough_hp(root, build)

    def _find_passthrough_hp(self, root, build):
        """libfuse's example, built outside the tree from the source that shmtree itself is built
        from, as it stands: with the options that its own build has."""
        try:
            sources = sorted((root / "subprojects").glob("fuse-*/example/passthrough_hp.cc"))
            if not sources:
                run(["meson", "subprojects", "download", "fuse3"], cwd=root)
                sources = sorted((root / "subprojects").glob("fuse-*/example/passthrough_hp.cc"))
            if not sources:
                raise BenchError("no source of libfuse below subprojects/")
            out = build / "libfuse"
            if not (out / "build.ninja").exists():
                run(["meson", "setup", out, sources[-1].parent.parent,
                     "-Dexamples=true", "-Dtests=false", "-Dutils=false", "-Duseroot=false",
                     "-Denable-io-uring=false",
                     "-Ddefault_library=static", "-Dwerror=false"])
            run(["ninja", "-C", out, "example/passthrough_hp", "lib/libfuse3.a"])
            self._hp_o2 = self._compile_passthrough_hp(sources[-1], out)
            return out / "example" / "passthrough_hp"
        except (BenchError, OSError) as error:
            self.results.note(f"passthrough_hp not measured: {error}")
            return None

    def _compile_passthrough_hp(self, source, out):
        """The same file by hand, with g++ -O2."""
        program = out / "passthrough_hp-O2"
        if program.exists() and program.stat().st_mtime > (out / "lib" / "libfuse3.a").stat().st_mtime:
            return program
        include = source.parent.parent / "include"
        run(["g++", "-O2", "-std=c++17", "-D_FILE_OFFSET_BITS=64", f"-I{include}", f"-I{out}", source, "-o", program,
             out / "lib" / "libfuse3.a", "-pthread", "-ldl", "-lrt"])
        return program

    def shmtree_argv(self, path, options=()):
        argv = [self.shmtree, SHM, path]
        return argv + (["-o", ",".join(options)] if options else [])

    def passthrough_hp_argv(self, path, *options, program=None):
        if not (program or self._hp):
            raise BenchError("passthrough_hp could not be built")
        return [program or self._hp, "--nocache", *options, SHM, path]

    def bindfs_argv(self, path):
        program = shutil.which("bindfs")
        if not program:
            raise BenchError("bindfs is not installed")
        return [program, "-o", "attr_timeout=0,entry_timeout=0,negative_timeout=0", SHM, path]

    def mount_point(self, name):
        path = self.work / re.sub(r"[^a-z0-9]+", "-", name)
        path.mkdir(exist_ok=True)
        return path

    @contextlib.contextmanager
    def _mounted(self, name, argv, path):
        log = self.work / f"{path.name}.log"
        with open(log, "w") as out:
            process = subprocess.Popen([str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=out,
                                       stderr=out, preexec_fn=usual_descriptor_limits)
            mount = Mount(name, path, process)
            try:
                wait_until(lambda: mounted_at(path) or process.poll() is not None, f"{name} mounts")
                if process.poll() is not None:
                    raise BenchError(f"{name}: {log.read_text().strip() or process.returncode}")
                os.stat(path)  # the daemon has answered: it is past its start
            except BaseException:
                process.kill()
                process.wait()
                raise
        try:
            yield mount
        finally:
            self.unmount(mount)

    def unmount(self, mount):
        subprocess.run(["umount", "-l", str(mount.path)], stderr=subprocess.DEVNULL)
        try:
            status = mount.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            mount.process.kill()
            status = mount.process.wait()
            self.results.note(f"{mount.name}: did not end when it was unmounted, killed")
        if status not in (0, -9):
            self.results.note(f"{mount.name}: ended with status {status}")

    def with_shmtree(self, name="shmtree", options=()):
        path = self.mount_point(name)
        return self._mounted(name, self.shmtree_argv(path, options) + ["-f"], path)

    def with_passthrough_hp(self, name="passthrough_hp", *options):
        path = self.mount_point(name)
        argv = self.passthrough_hp_argv(path, "--foreground", *options)
        return self._mounted(name, argv, path)

    def with_passthrough_hp_o2(self):
        if not self._hp_o2:
            raise BenchError("passthrough_hp could not be built with g++ -O2")
        path = self.mount_point("passthrough_hp g++ -O2")
        argv = self.passthrough_hp_argv(path, "--foreground", program=self._hp_o2)
        return self._mounted("passthrough_hp g++ -O2", argv, path)

    def with_bindfs(self):
        path = self.mount_point("bindfs")
        return self._mounted("bindfs", self.bindfs_argv(path) + ["-f"], path)

    def enter(self, stack, make, *args, **kwargs):
        """Mounts for the time of the stack. What cannot be mounted becomes a note and None: the
        others are measured all the same."""
        try:
            return stack.enter_context(make(*args, **kwargs))
        except BenchError as error:
            self.results.note(f"not measured: {error}")
            return None

    def enter_all(self, stack):
        """The native tmpfs and every peer."""
        mounts = [NATIVE,
                  self.enter(stack, self.with_shmtree),
                  self.enter(stack, self.with_shmtree, "shmtree permissions:daemon", ["permissions=daemon"]),
                  self.enter(stack, self.with_passthrough_hp),
                  self.enter(stack, self.with_bindfs)]
        return [m for m in mounts if m]
