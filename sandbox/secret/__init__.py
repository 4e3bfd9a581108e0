"""Secrets and configs: what they are and where their content lies, and who may see it.

A secret and a config are the same but for two things: a config may be read back (`config inspect`) and be twice as big,
while a secret's content leaves the store for containers alone. So one room serves both kinds.
"""
