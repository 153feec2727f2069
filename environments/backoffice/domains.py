"""The businesses, by name."""

from __future__ import annotations

from collections.abc import Mapping

from agentgym.environments.backoffice.domain import Domain
from agentgym.environments.backoffice.helpdesk import HELPDESK
from agentgym.environments.backoffice.office import OFFICE
from agentgym.environments.backoffice.retail import RETAIL
from agentgym.environments.backoffice.travel import TRAVEL

DOMAINS: Mapping[str, Domain] = {domain.name: domain for domain in (RETAIL, TRAVEL, OFFICE, HELPDESK)}

HELDOUT_DOMAIN = HELPDESK.name
"""The one that train and select never have."""
