# SPDX-License-Identifier: MIT
"""The file system of a lab machine: the host's, with what belongs to one machine alone in its place.

The root is an empty file system in memory on which the host's folders are mounted; /dev, /run and /sys/module are the
machine's own, /etc and /var/lib are the host's with the machine's changes over them, /mnt has the world's disks, and
/usr/sbin the programs of one version of ZFS, and zseal.

Guarantees: everything happens in the private mount namespace that the caller is in already, and ends with it; the
mounts are the same for root and in an unprivileged user namespace.
Refuses: to hide /tmp, /home and the like: tests and people exchange files with a machine there.

Below LAB all is found that the machine consists of, by names that do not depend on where a world's folder is, and
that are short enough for sockets.
"""
import ctypes
import fcntl
import os
import socket
import struct
from pathlib import Path

LAB = Path("/run/lab")
NODE = LAB / "node"
BUILD = LAB / "build"

_MS_RDONLY, _MS_NOSUID, _MS_BIND, _MS_REC = 0x1, 0x2, 0x1000, 0x4000
_MS_UNBINDABLE, _MS_PRIVATE, _MNT_DETACH = 1 << 17, 1 << 18, 0x2

_OWN = {"dev", "etc", "mnt", "run"}
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_DEVICE_LINKS = {"ptmx": "pts/ptmx", "fd": "/proc/self/fd", "stdin": "/proc/self/fd/0",
                 "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2"}

_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 0x1
_IFREQ = struct.Struct("16sH22x")

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result, what):
    if result != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{what}: {os.strerror(error)}")


def _mount(source, target, kind=None, flags=0, options=None):
    arguments = [os.fsencode(a) if a is not None else None for a in (source, target, kind)]
    _check(_libc.mount(*arguments, ctypes.c_ulong(flags), options.encode() if options else None),
           f"mount {kind or ''} {source} on {target} ({options})")


def _bind(source, target):
    _mount(source, target, flags=_MS_BIND | _MS_REC)


def _tmpfs(target, mode="0755"):
    target.mkdir(exist_ok=True)
    _mount("tmpfs", target, "tmpfs", _MS_NOSUID, f"mode={mode}")


def _overlay(target, options, flags=0):
    """Folders in options are named relative to the node's folder: to an overlay, colons and commas mean something."""
    _mount("overlay", target, "overlay", flags, options)


def _overlay_own(root, name, user_namespace):
    """The host's folder with the machine's own changes over it, which stay when it is switched off."""
    (root / name).mkdir(exist_ok=True)
    options = f"lowerdir=/{name},upperdir={name},workdir={name}.work"
    _overlay(root / name, options + (",userxattr" if user_namespace else ""))


def _host_folders(root):
    """What is in the host's root folder is in the machine's too, as far as that has not its own."""
    for entry in os.scandir("/"):
        here = root / entry.name
        if entry.is_symlink():
            here.symlink_to(os.readlink(entry.path))
        elif entry.is_dir() and entry.name not in _OWN:
            here.mkdir()
            _bind(entry.path, here)


def _dev(dev):
    _tmpfs(dev)
    for name in _DEVICES:
        if os.path.exists(f"/dev/{name}"):
            (dev / name).touch()
            _bind(f"/dev/{name}", dev / name)
    for name, destination in _DEVICE_LINKS.items():
        (dev / name).symlink_to(destination)
    (dev / "pts").mkdir()
    _mount("devpts", dev / "pts", "devpts", _MS_NOSUID, "newinstance,ptmxmode=0666,mode=0620")
    _tmpfs(dev / "shm", "1777")


def _run(run, build):
    _tmpfs(run)
    for name in ("lab", "lab/node", "lab/build", "lab/zfs", "lab/tmp", "lab/home", "lock", "systemd",
                 "systemd/journal"):
        (run / name).mkdir()
    for everybodys in ("lab/tmp", "lab/home"):
        (run / everybodys).chmod(0o1777)
    _bind(".", run / "lab/node")
    _bind(build, run / "lab/build")
    _bind(f"{build}/root", run / "lab/zfs")


def _zfs_module(module, version):
    """A module without folders of features has all that the library knows, says libzfs."""
    _tmpfs(module)
    if version:
        (module / "zfs").mkdir()
        (module / "zfs/version").write_text(version + "\n")


def _write_etc(config):
    etc = Path("etc")
    (etc / "hostname").write_text(config["name"] + "\n")
    (etc / "machine-id").write_text(config["machine_id"] + "\n")
    (etc / "hostid").write_bytes(bytes.fromhex(config["machine_id"][:8]))
    (etc / "hosts").write_text(f"127.0.0.1 localhost\n127.0.1.1 {config['name']}\n::1 localhost\n")
    (etc / "ld.so.preload").write_text(f"{BUILD}/shim.so\n")
    (etc / "zfs").mkdir(exist_ok=True)
    # Another version's libraries come first, also for programs that were built with the system's.
    own = f"{LAB}/zfs/lib/{config['multiarch']}\n" if config["own_libraries"] else ""
    (etc / "ld.so.conf").write_text(own + "include /etc/ld.so.conf.d/*.conf\n")
    (etc / "ld.so.cache").unlink(missing_ok=True)


def _replace_link(link, destination):
    link.unlink(missing_ok=True)
    link.symlink_to(destination)


def _sbin(target, config):
    """The version's own zfs, zpool and zdb, and zseal where it is built: a link, so that a new build is seen."""
    Path("sbin").mkdir(exist_ok=True)
    _replace_link(Path("sbin/zseal"), config["zseal"])
    _replace_link(Path("sbin-zfs"), f"{config['build']}/sbin")
    _overlay(target, "lowerdir=sbin:sbin-zfs:/usr/sbin", _MS_RDONLY)


def _loopback_up():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        _, flags = _IFREQ.unpack(fcntl.ioctl(s, _SIOCGIFFLAGS, _IFREQ.pack(b"lo", 0)))
        fcntl.ioctl(s, _SIOCSIFFLAGS, _IFREQ.pack(b"lo", flags | _IFF_UP))


def _become_root(root):
    """pivot_root(".", "."), then away with the old one: see the manual page."""
    os.chdir(root)
    _check(_libc.pivot_root(b".", b"."), "pivot_root")
    _check(_libc.umount2(b".", _MNT_DETACH), "umount of the old root")
    _mount(None, "/", flags=_MS_PRIVATE)
    os.chdir(NODE)


def enter(config):
    """Makes the namespaces that we are in the machine's. The current folder is the node's, before and after."""
    root = Path("root")
    socket.sethostname(config["name"])
    _loopback_up()
    _write_etc(config)
    _tmpfs(root)
    # It lies in one of the host's folders: with that it would appear in itself, and whoever empties a world's folder
    # from inside the machine would empty the host's.
    _mount(None, root, flags=_MS_UNBINDABLE)
    _host_folders(root)
    _sbin(root / "usr/sbin", config)
    _overlay_own(root, "etc", config["user_namespace"])
    _overlay_own(root, "var/lib", config["user_namespace"])
    for own in ("etc/zseal", "var/lib/zseal"):
        _bind(own, root / own)
    _dev(root / "dev")
    _run(root / "run", config["build"])
    _zfs_module(root / "sys/module", config["zfs"] if config["zfs_module"] else None)
    (root / "mnt").mkdir()
    _bind(config["disks"], root / "mnt")
    _become_root(root)
