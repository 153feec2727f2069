"""All templates."""

from __future__ import annotations

from agentgym.environments.desktop.templates.editing import EDITING
from agentgym.environments.desktop.templates.filing import FILING
from agentgym.environments.desktop.templates.reckoning import RECKONING

TEMPLATES = {template.name: template for template in (*EDITING, *FILING, *RECKONING)}
"""By name."""
