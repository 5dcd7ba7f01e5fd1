"""Small disks of a test's own, which it fills to the brim and frees again."""

import errno
import os
import subprocess
import time

import pytest


def run(*words):
    return subprocess.run([str(word) for word in words], capture_output=True, text=True)


class Disk:
    """A file system of `kilobytes` at `path`, unmounted by close()."""

    def __init__(self, kind, path, kilobytes):
        self.path, self.kind = path, kind
        self.ballast = path / "ballast"
        path.mkdir(exist_ok=True)
        if kind == "tmpfs":
            made = run("mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "none", path)
        else:
            self.image = path.with_name(path.name + ".image")
            with open(self.image, "wb") as file:
                file.truncate(kilobytes * 1024)
            # No blocks that only root may fill, as we are root.
            made = run("mkfs.ext4", "-q", "-F", "-m", "0", self.image)
            if made.returncode == 0:
                made = run("mount", "-o", "loop", self.image, path)
        if made.returncode != 0:
            pytest.skip(f"this machine makes no {kind}: {made.stderr.strip()}")

    def resize(self, kilobytes):
        assert self.kind == "tmpfs"
        resized = run("mount", "-o", f"remount,size={kilobytes}k", self.path)
        assert resized.returncode == 0, resized.stderr

    def fill(self):
        """To the last byte, and what the file system gives back when it has written."""
        with open(self.ballast, "ab", buffering=0) as file:
            for size in (1 << 16, 4096, 4096, 512, 1):
                try:
                    while file.write(b"x" * size):
                        pass
                except OSError as error:
                    assert error.errno == errno.ENOSPC, error
                try:
                    os.fsync(file.fileno())
                except OSError as error:
                    assert error.errno == errno.ENOSPC, error

    def free(self):
        """Returns how many bytes that frees."""
        size = self.ballast.stat().st_size
        self.ballast.unlink()
        os.sync()
        return size

    def take_away(self):
        """While others have files of it open; what is left in its place is an empty directory."""
        taken = run("umount", "-l", self.path)
        assert taken.returncode == 0, taken.stderr

    def bring_back(self):
        brought = run("mount", "-o", "loop", self.image, self.path)
        assert brought.returncode == 0, brought.stderr

    def close(self):
        for _ in range(100):
            if run("umount", self.path).returncode == 0:
                return
            time.sleep(0.05)
        run("umount", "-l", self.path)
        pytest.fail(f"somebody still uses {self.path}")


@pytest.fixture
def make_disk(private):
    """make_disk("tmpfs" or "ext4", kilobytes) is mounted where the first daemon's table will be."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount")
    disks = []

    def make(kind, kilobytes):
        disks.append(Disk(kind, private / "table", kilobytes))
        return disks[-1]

    yield make
    for disk in disks:
        disk.close()
