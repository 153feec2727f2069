"""Servers: the gateway, through which agents of any make play and are trained."""
