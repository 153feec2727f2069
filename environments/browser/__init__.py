"""A real browser for worlds of web pages; `agentgym.environments.browser.session` is the way in."""
