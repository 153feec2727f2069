"""Skills as the field writes them: `SKILL.md` directories (agentskills.io), shared over MCP."""
