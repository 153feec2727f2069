"""`agentgym`, with the wandb of another environment: `with_wandb.py SITE_PACKAGES ARGUMENT...`"""

from __future__ import annotations

import runpy
import sys

if __name__ == "__main__":
    sys.path.append(sys.argv.pop(1))
    runpy.run_module("agentgym.cli", run_name="__main__", alter_sys=True)
