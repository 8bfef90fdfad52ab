"""What a simulated machine has inside: a folder of its own, in which commands run on this host.

A command is really run, as the user who runs the tests: with our own standard streams, without a shell,
and in the machine's home folder. An absolute path that is in the machine's folder is that file there, also
within a script; any other is the host's own. It knows no daemon.
"""

from __future__ import annotations

import os

from vmharness_orbctl._failure import Failure, oops

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Guest", "forget"]

# Whoever it is asked to be, only the names change.
_SUDO = """\
#!/bin/sh
user=root
while :; do
    case $1 in
    --) shift; break ;;
    --user=*) user=${1#--user=}; shift ;;
    --user | -u) user=$2; shift 2 ;;
    -u*) user=${1#-u}; shift ;;
    -[!-]*u) user=$2; shift 2 ;;
    -[gpChDRTrt] | -[!-]*[gpChDRTrt]) shift 2 ;;
    -*) shift ;;
    *) break ;;
    esac
done
exec env USER="$user" LOGNAME="$user" "$@"
"""
# Programs that would tell of the host what they should tell of the machine.
_PROGRAMS = {
    "whoami": '#!/bin/sh\necho "$USER"\n',
    "hostname": '#!/bin/sh\necho "$HOSTNAME"\n',
    "sudo": _SUDO,
}
# What ends a path in a script.
_ENDS = frozenset(" \t\n\"'`<>()|&;=:,$*?[]{}")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Guest:
    """The inside of one machine.

    Args:
        folder: The simulator's folder.
        id: The machine's ID.
        name: Its name.
        user: Its default user.
    """

    def __init__(self, folder: str, id: str, name: str, user: str) -> None:
        self._programs = f"{folder}/programs"
        self.root = f"{folder}/machines/{id}"
        self._name = name
        self._user = user

    def run(self, argv: Sequence[str], *, user: str, workdir: str, environ: Mapping[str, str]) -> int:
        """Run a command; return its exit status, 128 and the signal's number if one ended it."""
        user = user or self._user
        words = [self._seen(word) for word in argv]
        try:
            os.chdir(self._seen(workdir) if workdir.startswith("/") else f"{self._home(user)}/{workdir}")
        except OSError as exc:
            raise oops(f"chdir {workdir}: {exc.strerror}") from exc  # (guess)
        self._prepare()
        variables = {
            "PATH": f"{self._programs}:{_PATH}",
            "HOME": self._home(user),
            "USER": user,
            "LOGNAME": user,
            "HOSTNAME": self._name,
            **_handed_on(environ),
        }
        os.environ["PATH"] = variables["PATH"]  # where posix_spawnp looks
        try:
            child = os.posix_spawnp(words[0], words, variables)
        except FileNotFoundError as exc:
            raise Failure(f"-bash: line 1: {argv[0]}: command not found", 127) from exc
        except OSError as exc:
            raise Failure(f"-bash: line 1: {argv[0]}: {exc.strerror}", 126) from exc
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        return code if code >= 0 else 128 - code

    def push(self, source: str, target: str) -> None:
        """Copy a file or folder in; into the home folder, unless the target is absolute."""
        inside = self._inside(target)
        if os.path.isdir(inside) or target.endswith("/") or not target:
            inside = f"{inside.rstrip('/')}/{os.path.basename(source.rstrip('/'))}"
        _copy(source, inside)

    def pull(self, source: str, target: str) -> None:
        """Copy a file or folder out; what an absolute path doesn't mean here, it means on the host."""
        inside = self._inside(source)
        if not os.path.exists(inside):
            inside = self._seen(source)
        target = target or "."
        if os.path.isdir(target) or target.endswith("/"):
            target = f"{target.rstrip('/')}/{os.path.basename(source.rstrip('/'))}"
        _copy(inside, target)

    def _home(self, user: str) -> str:
        home = f"{self.root}/root" if user == "root" else f"{self.root}/home/{user}"
        os.makedirs(home, mode=0o700, exist_ok=True)
        return home

    def _inside(self, path: str) -> str:
        """Return where a path of the machine is, there or not."""
        return f"{self.root}{path}" if path.startswith("/") else f"{self._home(self._user)}/{path}"

    def _seen(self, word: str) -> str:
        """Return what a command shall see for a word: files of the machine's own where it means such ones."""
        if self._has(word):
            return f"{self.root}{word}"
        parts, at = list[str](), 0
        while (begin := word.find("/", at)) >= 0:
            end = next((end for end in range(begin, len(word)) if word[end] in _ENDS), len(word))
            starts = begin == 0 or word[begin - 1] in _ENDS
            parts.append(word[at:begin] + (self.root if starts and self._has(word[begin:end]) else ""))
            parts.append(word[begin:end])
            at = end
        return "".join(parts) + word[at:]

    def _has(self, path: str) -> bool:
        return len(path) > 1 and path.startswith("/") and os.path.lexists(f"{self.root}{path}")

    def _prepare(self) -> None:
        """Make the programs that speak for the machine, once for all machines."""
        if os.path.isdir(self._programs):
            return
        new = f"{self._programs}.{os.getpid()}"
        os.makedirs(new, mode=0o700)
        for name, text in _PROGRAMS.items():
            with open(f"{new}/{name}", "w", encoding="utf-8") as file:
                file.write(text)
            os.chmod(f"{new}/{name}", 0o700)
        try:
            os.rename(new, self._programs)
        except OSError:
            pass  # another command was faster


def forget(folder: str, id: str) -> None:
    """Remove what a machine had inside."""
    root = f"{folder}/machines/{id}"
    if os.path.isdir(root):
        import shutil

        shutil.rmtree(root, ignore_errors=True)  # it may have run commands as another user


def _handed_on(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that ORBENV names, which alone reach a machine; and the terminal's kind."""
    names = [*environ.get("ORBENV", "").split(":"), "TERM", "LANG"]
    return {name: environ[name] for name in names if name in environ}


def _copy(source: str, target: str) -> None:
    import shutil

    try:
        os.makedirs(os.path.dirname(target) or ".", exist_ok=True)
        if os.path.isdir(source):
            shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
        else:
            shutil.copy2(source, target)
    except OSError as exc:
        raise oops(f"copy {source}: {exc.strerror or exc}") from exc  # (guess)
