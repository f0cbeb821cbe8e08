"""Sets limits on its own process and becomes the program: argv is four limits, then the program's line.

Run by path in a bare interpreter, so it knows nothing of the package.
"""

import os
import resource
import sys

_KINDS = ("RLIMIT_CPU", "RLIMIT_AS", "RLIMIT_FSIZE", "RLIMIT_NPROC")


def main(argv: list[str]) -> None:
    """Set what is given of CPU seconds, bytes of memory, bytes of a file, processes; no core is dumped."""
    wanted = [("RLIMIT_CORE", "0"), *zip(_KINDS, argv, strict=False)]
    for name, value in wanted:
        if not value:
            continue
        kind = getattr(resource, name)
        highest = resource.getrlimit(kind)[1]
        limit = int(value) if highest == resource.RLIM_INFINITY else min(int(value), highest)
        if name != "RLIMIT_NPROC" or os.getuid():  # root's processes are not counted, and are watched instead
            resource.setrlimit(kind, (limit, limit))
    line = argv[len(_KINDS) :]
    os.execv(line[0], line)  # noqa: S606 - becoming the program is what this is for


if __name__ == "__main__":
    main(sys.argv[1:])
