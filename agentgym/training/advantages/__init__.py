"""Advantages: how good each turn was, relative to the rollouts it is compared with.

Every estimator maps a `TurnTable` to one float64 value per turn; the tokens of a turn share it. What gives
the tokens of a turn different values is `agentgym.training.shaping`.
"""
