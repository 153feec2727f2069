"""Critics: how good states and answers are, learned by small heads on the features of a frozen model.

A state is the conversation before a turn, an answer the same conversation with the turn's answer. Legend: R
turns, H features.
"""
