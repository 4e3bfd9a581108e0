"""Stacks brought to where services run: what a file asks for held against what there is, as a plan, and carried out.

An `Engine` is such a place. This machine is one; what stands here beside `local_engine` knows of none in particular.
"""
