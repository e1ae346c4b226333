"""Start a program with TERM and USR2 held back until it asks for them: one that comes during start-up is not lost.

    python hold_signals.py PROGRAM ARGUMENTS...

A blocked signal stays blocked, and pending, across exec; the default action would kill a Python that is importing.
"""

import os
import signal
import sys

if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGUSR2})
    os.execvp(sys.argv[1], sys.argv[1:])
