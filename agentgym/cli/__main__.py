"""`python -m agentgym.cli` is `agentgym`."""

from agentgym.cli.main import main

main()
