"""Runs ministack for `smile dev`, and ends it when its owner is gone.

The owner holds the other end of standard input. A byte means that ministack is to stay on its own;
the end of the file without one means that the owner was killed: then nothing may be left behind.
"""

import os
import shutil
import signal
import sys
import threading


def watch():
    if os.read(0, 1):
        return
    here = os.path.dirname(os.path.abspath(__file__))
    for name in ("stack.json", "local-cloud.py"):
        try:
            os.unlink(os.path.join(here, name))
        except FileNotFoundError:
            pass
    shutil.rmtree(os.environ["TMPDIR"], ignore_errors=True)
    # The group is this process and the functions that it runs.
    os.killpg(0, signal.SIGKILL)


threading.Thread(target=watch, daemon=True).start()
sys.argv = ["ministack"]
from ministack.app import main  # noqa: E402 (watching comes first: this takes a while)

main()
