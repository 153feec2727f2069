"""Servers of environments, in OpenEnv's protocol and with what it leaves out."""
